"""Why is it slow: the limit a frame could reach at best, and where its time goes."""
