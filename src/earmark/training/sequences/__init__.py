"""Training of embeddings of speech segments (Algayres et al. 2022, arXiv 2204.05148)."""
