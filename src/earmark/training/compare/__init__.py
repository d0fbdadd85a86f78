"""Comparison of systems: trains all combinations of recipes, encoders and seeds, and evaluates them by one protocol."""
