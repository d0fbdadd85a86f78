"""Training of encoders that embed segments of speech (Algayres et al. 2022, arXiv 2204.05148)."""
