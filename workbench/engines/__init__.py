"""Engines: text in, audio out (and the reverse), behind small protocols."""
