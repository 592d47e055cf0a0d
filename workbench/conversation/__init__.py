"""Hear, decide, think, speak: a conversation as a pipeline, serial or overlapped."""
