"""A negative: audio that must not trigger a keyword, as its user marked it, and how it lowers scores."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from earmark.spotting.enrolled import now
from earmark.spotting.takes import Take


@dataclass(frozen=True, eq=False, kw_only=True)
class Negative(Take):
    """Audio that must not trigger a keyword.

    Attributes:
        wave: shape (n,), with the audio around the span.
        start_s: start of the span that triggered the keyword, or may trigger it, in seconds.
        end_s: its end in seconds.
        source: origin of the recording, such as a file name.
        created: time when it was marked, ISO 8601 in UTC.
    """

    created: str = field(default_factory=now)


MARGIN, STEEPNESS = 0.05, 5.0
"""A window loses STEEPNESS for each unit by which its similarity to a negative exceeds its score minus MARGIN.

Chosen on words that no result is reported on, see docs/decisions/0014."""


def discounted(
    scores: NDArray[np.float32], negative_scores: NDArray[np.float32], owners: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores of windows, lowered where a window resembles a negative of the keyword.

    A window with score s, and n for the most similar negative, gets s - STEEPNESS · max(0, n + MARGIN - s).

    Args:
        scores: shape (…, n_keywords).
        negative_scores: similarity to each negative by the rules of its keyword, shape (…, n_negatives).
        owners: keyword of each negative, ascending, shape (n_negatives,).

    >>> discounted(np.float32([[0.5, 0.8]]), np.float32([[0.65, 0.7]]), np.array([0, 1])).round(3).tolist()
    [[-0.5, 0.8]]
    """
    if not len(owners):
        return scores
    columns, starts = np.unique(owners, return_index=True)
    nearest = np.maximum.reduceat(negative_scores, starts, axis=-1)
    lowered = scores.copy()
    own = scores[..., columns]
    lowered[..., columns] = own - np.float32(STEEPNESS) * np.maximum(0, nearest + np.float32(MARGIN) - own)
    return lowered
