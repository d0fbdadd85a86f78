"""Frontends: from waveform to spectral frames, inside the network, so that training and runtime cannot drift."""
