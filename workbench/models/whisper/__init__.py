"""Whisper: where its checkpoints lie, windows of any length, a decoder with a static cache."""
