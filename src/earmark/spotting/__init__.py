"""Keyword spotting: from takes to keywords, and from a stream to detections."""
