"""Ways of recognizing speech: latency against word errors."""
