"""What tests of batches share: bursts of noise, whose onsets are easy to find."""

import numpy as np
import pytest

from earmark.core.audio import SAMPLE_RATE


@pytest.fixture(scope="session")
def bursts():
    """`bursts(0.1, 3.8, 0.17)`: 4 s of faint noise with 0.1 s of loud noise every 0.17 s; and the onsets in samples."""

    def make(first_s, end_s, every_s):
        rng = np.random.default_rng(3)
        wave = 1e-3 * rng.standard_normal(4 * SAMPLE_RATE)
        onsets = (np.arange(first_s, end_s, every_s) * SAMPLE_RATE).astype(int)
        for onset in onsets:
            wave[onset : onset + 1600] += 0.3 * rng.standard_normal(1600)
        return wave, onsets

    return make
