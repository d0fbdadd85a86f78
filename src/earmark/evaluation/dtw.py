"""Dynamic time warping: how alike are two sequences of frames when time may stretch? The classic baseline.

H. Sakoe and S. Chiba, “Dynamic programming algorithm optimization for spoken word recognition”, IEEE Trans. ASSP 26(1),
1978: symmetric steps, of which a diagonal one counts twice, inside a band around the diagonal; the cost of the best
path is divided by the frames of both sequences. Every pair costs as much as both lengths multiplied, so that this is
for thousands of segments and not for more.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation.embedders import Progress, silent

Floats = NDArray[np.floating]

MOST_SEQUENCES = 3000
BAND = 0.2
# Costs of frames lie in [0, 2]; this one is never worth it.
_FORBIDDEN = 1e6


def halved(frames: Floats) -> Floats:
    """Means of every two frames, shape (⌈t / 2⌉, d): a quarter of the work, and speech moves slowly enough.

    >>> halved(np.float32([[1], [3], [5]])).tolist()
    [[2.0], [5.0]]
    """
    odd = frames[len(frames) - len(frames) % 2 :]
    pairs = frames[: len(frames) - len(odd)].reshape(-1, 2, frames.shape[1]).mean(axis=1)
    return np.concatenate([pairs, odd])


def warped_distances(sequences: Sequence[Floats], *, band: float = BAND, progress: Progress = silent) -> Floats:
    """Distances of all sequences to each other.

    The distance of two frames is one minus their cosine.

    Args:
        sequences: shapes (t, d), t > 0.
        band: how far a path may leave the diagonal, as a share of the length; the diagonal itself is always free.
        progress: told how many sequences are done.

    Returns:
        Shape (n, n), symmetric, in [0, 2], zero on the diagonal.

    Raises:
        InputError: more sequences than this is made for.
    """
    if len(sequences) > MOST_SEQUENCES:
        raise InputError(
            f"{len(sequences)} segments: dynamic time warping compares each with each, and takes {MOST_SEQUENCES:,} at"
            " most; draw fewer, or take --encoder log-mel-mean"
        )
    unit = [sequence / np.maximum(np.linalg.norm(sequence, axis=1, keepdims=True), 1e-9) for sequence in sequences]
    # By length, so that the others of a batch need little padding, and none of it beyond the longer half.
    order = np.argsort([len(sequence) for sequence in unit], kind="stable")
    lengths = np.array([len(unit[row]) for row in order])
    padded = np.zeros((len(unit), lengths.max(initial=1), unit[0].shape[1] if unit else 1), np.float32)
    for place, row in enumerate(order):
        padded[place, : lengths[place]] = unit[row]
    found = np.zeros((len(unit), len(unit)), np.float32)
    for place in range(1, len(unit)):
        longest = lengths[place]
        one, others = padded[place, :longest], padded[:place, : lengths[place - 1]]
        distances = _warp(one, others, lengths[:place], band)
        found[place, :place] = distances
        progress(place + 1, len(unit))
    found += found.T
    back = np.argsort(order)
    return found[np.ix_(back, back)]


def _warp(one: Floats, others: Floats, lengths: NDArray[np.integer], band: float) -> Floats:
    """Distances of one sequence, shape (t, d), to others, shape (m, s, d) of which `lengths` frames count."""
    costs = (1 - others @ one.T).transpose(2, 0, 1)  # (t, m, s)
    columns = np.arange(costs.shape[2])
    # Where each column stands on the diagonal, in frames of `one`; padding comes after the end and changes nothing.
    diagonal = columns * ((len(one) - 1) / np.maximum(lengths - 1, 1))[:, None]
    reach = np.maximum(band * len(one), np.maximum(1, len(one) / lengths))[:, None]
    ended = lengths - 1, np.arange(len(others))
    before = np.full(costs.shape[1:], np.inf)
    for row, cost in enumerate(costs):
        # float64: costs of forbidden frames are added to and taken from those of others.
        cost = np.where(np.abs(row - diagonal) <= reach, cost.astype(np.float64), _FORBIDDEN)
        entered = before + cost if row else np.full(cost.shape, np.inf)
        if row:
            np.minimum(entered[:, 1:], before[:, :-1] + 2 * cost[:, 1:], out=entered[:, 1:])
        else:
            entered[:, 0] = 2 * cost[:, 0]
        # Steps along the row: the least of what was entered so far and the costs since, as one running minimum.
        walked = np.cumsum(cost, axis=1)
        before = np.minimum.accumulate(entered - walked, axis=1) + walked
    return (before[ended[1], ended[0]] / (len(one) + lengths)).astype(np.float32)
