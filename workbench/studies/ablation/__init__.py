"""Ablations: which switches, in which design, and what came of it."""
