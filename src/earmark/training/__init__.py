"""Training of encoders; only this package imports torch."""
