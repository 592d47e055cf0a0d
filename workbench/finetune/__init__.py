"""Training: the nano voice from nothing."""
