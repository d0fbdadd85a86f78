"""Batches of waves from clips: clip bank, episodes, crops, scenes, augmentation."""
