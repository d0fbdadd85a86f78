"""Synthetic speech for word lists."""
