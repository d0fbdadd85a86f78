"""Readers of corpora in their own layouts; each makes a manifest."""
