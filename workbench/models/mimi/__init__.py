"""Mimi: the neural codec that turns speech into codes, 12.5 frames a second, and back."""
