"""Word alignments: forced alignment, alignments of other tools, recognition."""
