"""Networks in pure torch: shapes in every docstring, weights from safetensors, no policy."""
