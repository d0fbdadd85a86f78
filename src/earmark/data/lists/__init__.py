"""The published list formats: clips, pairs, splits, sections, segments, segment pairs."""
