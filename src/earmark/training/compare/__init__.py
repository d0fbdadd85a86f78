"""Comparison of systems: recipes × encoders × seeds, trained and evaluated by one protocol."""
