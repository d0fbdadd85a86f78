"""Corpora as manifests, lists for training and evaluation, alignment, voice activity, synthetic speech."""
