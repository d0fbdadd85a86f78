"""Mining of pairs of similar speech segments: nearest neighbors by their embeddings."""
