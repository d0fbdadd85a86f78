"""Parts of a word: a window is compared as a whole, by its quarters and by its halves, so that order counts.

The embedding of a window does not depend on the order of its frames. Its quarters and halves, each compared with the
same part of the keyword, tell "right on" from "on right", and from "right" alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SPANS = ((0, 4), (0, 1), (1, 2), (2, 3), (3, 4), (0, 2), (2, 4))
"""First and last quarter border of each part: the whole window, its quarters, its halves."""

WHOLE, QUARTERS, HALVES = 0, slice(1, 5), slice(5, 7)
SHORTEST = 4
"""Shortest window in frames: one frame for each quarter."""

# Chosen on words and phrases that no result is reported on, see docs/decisions/0013.
_QUARTERS_FROM_S, _QUARTERS_FULL_S, _QUARTERS_WEIGHT, _LEAST_WEIGHT = 0.6, 0.9, 0.5, 0.1
_STRICT_FROM_S, _ALLOWANCE_PER_S, _LARGEST_ALLOWANCE = 1.0, 2.0, 0.3
_STRICT_QUARTERS_FROM_S = 1.25
_QUARTERS_ALLOWANCE, _ALLOWANCE_PER_WEIGHT = 0.2, 0.6
_ALLOWANCE_OF_ONE_TAKE, _ENOUGH_TAKES = 0.2, 5


@dataclass(frozen=True)
class PartRules:
    """How the similarities of the parts become a score, by the length of each keyword; arrays of shape (n_keywords,).

    A short word has too few frames for parts, so only the whole counts. From 0.6 s on, quarters count, up to one half
    of the score at 0.9 s. Where they count, a score is at most the similarity of the worst quarter plus an allowance,
    so that "computed" does not pass for "jupiter". It is also at most the similarity of the worst half plus an
    allowance that shrinks to 0 at 1 s, so that a phrase does not fire on one of its words. From 1.25 s on, the worst
    quarter takes the place of the worst half there.

    The mean of few takes is less sure: both allowances are 0.25 / k - 0.05 larger for a keyword of k < 5 takes.

    Attributes:
        weight: weight of the mean of the quarters; that of the whole is 1 - weight.
        quarter_allowance: added to the worst quarter; infinite where quarters do not count.
        half_allowance: added to the worst half; infinite in words shorter than 0.85 s, and from 1.25 s on.
    """

    weight: Floats
    quarter_allowance: Floats
    half_allowance: Floats

    @classmethod
    def of(cls, durations_s: Sequence[float], takes: Sequence[float]) -> PartRules:
        """The rules of keywords of these lengths in seconds, and of takes of these weights, in recordings."""
        lengths_s = np.asarray(durations_s, np.float32)
        ramp = (lengths_s - _QUARTERS_FROM_S) / (_QUARTERS_FULL_S - _QUARTERS_FROM_S)
        weight = _QUARTERS_WEIGHT * np.clip(ramp, 0, 1)
        half = _ALLOWANCE_PER_S * np.maximum(0, _STRICT_FROM_S - lengths_s)
        quarter = _QUARTERS_ALLOWANCE + _ALLOWANCE_PER_WEIGHT * (_QUARTERS_WEIGHT - weight)
        strict = lengths_s >= _STRICT_QUARTERS_FROM_S
        quarter = np.select([strict, weight >= _LEAST_WEIGHT], [0, quarter], np.inf)
        half = np.where(strict | (half >= _LARGEST_ALLOWANCE), np.inf, half)
        fewer = np.maximum(0, _ENOUGH_TAKES / np.asarray(takes) - 1) / (_ENOUGH_TAKES - 1)
        few = _ALLOWANCE_OF_ONE_TAKE * fewer
        return cls(weight.astype(np.float32), (quarter + few).astype(np.float32), (half + few).astype(np.float32))

    def combine(self, similarity: Floats) -> Floats:
        """Combine the similarities of the parts, shape (7, …, n_keywords), to scores, shape (…, n_keywords)."""
        quarters, halves = similarity[QUARTERS], similarity[HALVES]
        score = similarity[WHOLE] + self.weight * (quarters.sum(axis=0) / 4 - similarity[WHOLE])
        limit = np.minimum(quarters.min(axis=0) + self.quarter_allowance, halves.min(axis=0) + self.half_allowance)
        return np.asarray(np.minimum(score, limit), np.float32)


def part_borders(lengths: Ints) -> tuple[Ints, Ints]:
    """First frame of each part of windows of these lengths, and the frame after its last; shape (7, …) each."""
    quarters = np.round(np.multiply.outer(np.arange(5), lengths) / 4).astype(np.int64)
    first, last = np.transpose(SPANS)
    return quarters[first], quarters[last]


def embed_parts(encoder: Encoder, frames: Floats, stop: int, length: int) -> Floats:
    """Embed the parts of the window of `length` frames, at least 4, that ends before frame `stop`.

    Returns:
        Unit vectors, shape (7, d), in the order of `SPANS`.
    """
    first, last = part_borders(np.array(length))
    return encoder.embed_windows(frames, stop - length + last, last - first)
