"""Ways of decoding Mimi's codes: their speed, and how exact they are."""
