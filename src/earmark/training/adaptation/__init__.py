"""Adaptation of an encoder to unlabeled recordings: rounds that mine pairs of similar segments and train on them."""
