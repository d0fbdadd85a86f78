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


STEEPNESS = 5.0
"""Score that a window loses for each unit by which a negative resembles it more than the keyword, see decision 0014."""


def discounted(
    scores: NDArray[np.float32], negative_scores: NDArray[np.float32], owners: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores of windows, lowered where a window resembles a negative of the keyword.

    A window with score s, and n for the most similar negative, gets s - STEEPNESS · max(0, n - s).

    Args:
        scores: shape (…, n_keywords).
        negative_scores: similarity to each negative by the rules of its keyword, shape (…, n_negatives).
        owners: keyword of each negative, ascending, shape (n_negatives,).

    >>> discounted(np.float32([[0.5, 0.75]]), np.float32([[0.75, 0.5]]), np.array([0, 1])).tolist()
    [[-0.75, 0.75]]
    """
    if not len(owners):
        return scores
    columns, starts = np.unique(owners, return_index=True)
    nearest = np.maximum.reduceat(negative_scores, starts, axis=-1)
    lowered = scores.copy()
    own = scores[..., columns]
    lowered[..., columns] = own - np.float32(STEEPNESS) * np.maximum(0, nearest - own)
    return lowered
