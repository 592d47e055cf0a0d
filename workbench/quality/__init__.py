"""Did it still sound right: error rates of words, distances between sounds, levels."""
