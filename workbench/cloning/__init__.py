"""Voice cloning: recordings into references, judged, encoded once, with consent and a mark."""
