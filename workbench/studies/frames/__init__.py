"""The frame engine against transformers, rung by rung."""
