"""Whisper fine-tuned on one's own voice, words or noise, and converted for faster-whisper."""
