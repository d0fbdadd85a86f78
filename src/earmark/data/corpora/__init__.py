"""One reader a kind of corpus: each makes a manifest of what lies on the disk."""
