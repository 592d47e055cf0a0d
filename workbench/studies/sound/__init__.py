"""What a switch does to the sound, and whether it keeps its promise."""
