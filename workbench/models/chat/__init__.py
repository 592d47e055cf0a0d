"""Causal language models for conversation: found, loaded, and run token by token."""
