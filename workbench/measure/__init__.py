"""Paired trials, their statistics, and the record that keeps them."""
