"""Parts that every package of earmark may import: audio, errors, files, settings, progress, vectors."""
