"""Parts that every room uses: audio, errors, names, settings."""
