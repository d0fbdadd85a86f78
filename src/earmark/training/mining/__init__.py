"""Mining: pairs of similar speech segments, found as nearest neighbors of their embeddings."""
