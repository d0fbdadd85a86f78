"""Evaluation protocols: trials, scores and metrics of each task."""
