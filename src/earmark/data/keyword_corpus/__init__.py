"""Keyword corpora cut out of transcribed sentences."""
