"""Keywords that a longer keyword contains, such as "volume" in "volume up"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.vectors import unit
from earmark.spotting.keyword import Keyword
from earmark.spotting.parts import QUARTERS, WHOLE

SLACK = 0.05
"""A keyword counts as contained if a part of the other one is this much below its threshold, or better. Words are at
most 0.02 below in phrases that contain them, and mostly more than 0.08 in others."""

SHORTEST = 0.75
"""A keyword that is shorter than this share of another one does not contain it."""

_RUNS = [(first, last) for first in range(4) for last in range(first + 1, 5)]


def contained(keywords: Sequence[Keyword], thresholds: NDArray[np.floating]) -> list[bool]:
    """Whether a part of another keyword, or all of it, resembles each keyword so much that it may be detected there.

    The parts are runs of successive quarters. Keywords of different encoders cannot be compared: each counts as
    contained in the other.

    Args:
        keywords: with embeddings of their parts.
        thresholds: of the keywords, shape (n,).
    """
    lengths_s = [keyword.duration_s for keyword in keywords]
    wholes = [keyword.part_prototypes[WHOLE] for keyword in keywords]
    runs = [_runs(keyword) for keyword in keywords]
    return [
        any(
            keyword.encoder != other.encoder or float((runs[place] @ wholes[number]).max()) >= threshold - SLACK
            for place, other in enumerate(keywords)
            if place != number and lengths_s[place] >= SHORTEST * lengths_s[number]
        )
        for number, (keyword, threshold) in enumerate(zip(keywords, thresholds, strict=True))
    ]


def _runs(keyword: Keyword) -> NDArray[np.floating]:
    """Unit vectors of the runs of successive quarters, shape (10, d)."""
    quarters = keyword.part_prototypes[QUARTERS]
    return unit(np.stack([quarters[first:last].sum(axis=0) for first, last in _RUNS]))
