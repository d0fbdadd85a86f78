"""Adaptation of an encoder to unlabeled recordings, by rounds of mining pairs and training on them."""
