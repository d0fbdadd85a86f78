"""Readers and writers of the published list formats."""
