"""Fixtures of mining: random segments with random vectors."""

import numpy as np
import pytest

from earmark.core.vectors import unit
from earmark.data.manifest import Clip
from earmark.training.mining.segment_table import Names, sort_segments
from earmark.training.mining.settings import MiningSettings


def _segments(rng, *, speakers=5, files=3, segments=12, unknown=False, shared=False):
    """Clips, some of which overlap; on request of unknown speakers and with two speakers in one recording."""
    clips = []
    for speaker in range(speakers):
        for file in range(files):
            path = f"{file if shared and file == 0 else f'{speaker}_{file}'}.wav"
            name = "" if unknown and speaker == 0 else f"voice{speaker}"
            starts = rng.integers(0, 20, segments) * 0.16
            lengths = rng.integers(1, 7, segments) * 0.16
            clips += [
                Clip(path, float(start), float(start + length), name, f"word{rng.integers(4)}")
                for start, length in zip(starts.round(6), lengths.round(6), strict=True)
            ]
    return clips


@pytest.fixture
def made():
    """`made(seed, **how)`: table and unit vectors, shape (n, 16), of random segments."""

    def make(seed=0, **how):
        rng = np.random.default_rng(seed)
        names = Names()
        table, _ = sort_segments(names.rows(_segments(rng, **how)), names)
        vectors = rng.normal(size=(len(table), 16)).astype(np.float32)
        return table, unit(vectors)

    return make


@pytest.fixture
def exact():
    """Settings of exact search."""
    return MiningSettings(neighbors=6)
