"""Batches of waves for training: which clips are drawn (episodes), how they are cut (crops, scenes), augmentation."""
