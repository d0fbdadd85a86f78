"""From clips to batches: clip bank, episodes, crops, scenes, augmentation."""
