"""Corpora as manifests: read and write them, make them from folders, split them by speaker, synthesize speech."""
