"""Embeddings of short stretches of speech (Algayres et al. 2022, arXiv 2204.05148), learned from segments of lists."""
