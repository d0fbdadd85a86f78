"""Segments of sections: all segments on a grid, or n-grams of phones and words."""
