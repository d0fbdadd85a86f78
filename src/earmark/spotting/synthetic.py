"""Synthetic takes: many voices of synthesizers speak the word that a user typed.

They are kept apart from the recordings of a keyword. Together they count as 1.5 recordings, however many they are: a
keyword without recordings is detected by them alone, and recordings outweigh them soon.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.vectors import unit
from earmark.spotting.takes import Take

Floats = NDArray[np.float32]

# Chosen on words that no result is reported on, see docs/decisions/0020.
WEIGHT = 1.5
"""Of all synthetic takes together, in recordings."""


def weight(recordings: int, synthetic: int) -> float:
    """Weight of the takes of a keyword, in recordings, from their numbers."""
    return recordings + WEIGHT * (synthetic > 0)


def mean_parts(parts: Floats, synthetic: Floats | None) -> Floats:
    """The weighted mean of each part over the takes, scaled to unit length.

    Args:
        parts: embeddings of the parts of the recordings, shape (k, 7, d), k ≥ 0.
        synthetic: of the synthetic takes, shape (s, 7, d); None or no rows without them.

    Returns:
        Shape (7, d).
    """
    return unit(_total(parts, synthetic)).astype(np.float32)


def means_of_others(parts: Floats, synthetic: Floats | None) -> Floats:
    """For each recording, `mean_parts` without it; shape (k, 7, d)."""
    return unit(_total(parts, synthetic) - parts).astype(np.float32)


def mean_length_s(recorded_s: Sequence[float], takes: Sequence[Take]) -> float:
    """The weighted mean length of a word in seconds, from those of the recordings and the synthetic takes."""
    lengths_s, weights = list(recorded_s), [1.0] * len(recorded_s)
    if takes:
        lengths_s.append(float(np.mean([take.end_s - take.start_s for take in takes])))
        weights.append(WEIGHT)
    return float(np.average(lengths_s, weights=weights))


def _total(parts: Floats, synthetic: Floats | None) -> NDArray[np.float64]:
    total = parts.sum(axis=0, dtype=np.float64)
    if synthetic is None or not len(synthetic):
        return total
    return np.asarray(total + WEIGHT * synthetic.mean(axis=0, dtype=np.float64))
