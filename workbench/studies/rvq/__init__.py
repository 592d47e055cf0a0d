"""Residual vector quantization: speed, and what each codebook adds."""
