"""Did it still sound right: word error rate and distances between sounds."""
