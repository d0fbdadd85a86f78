"""Adaptation of an encoder to unlabeled recordings: mining and training in turn."""
