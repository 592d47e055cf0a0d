"""Chat models: messages in, text out, piece by piece."""
