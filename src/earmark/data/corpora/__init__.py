"""Readers of published corpora; each reader makes a manifest."""
