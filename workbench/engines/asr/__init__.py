"""Recognizers: audio in, text out, whole or as it grows."""
