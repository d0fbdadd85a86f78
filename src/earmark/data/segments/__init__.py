"""Segments of sections: all on a grid, or n-grams of phones and words."""
