"""Linear layers of a decoding step: kernels against each other and against memory."""
