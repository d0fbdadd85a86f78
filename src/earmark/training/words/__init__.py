"""Training on labeled clips: words or speakers."""
