"""Studies of all switches: which of them help, and what they do to the sound."""
