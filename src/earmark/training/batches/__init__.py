"""Clips to batches of waves: clip bank, episodes, crops, scenes, augmentation."""
