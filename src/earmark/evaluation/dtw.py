"""Dynamic time warping of sequences of frames: the classic baseline.

H. Sakoe and S. Chiba, “Dynamic programming algorithm optimization for spoken word recognition”, IEEE Trans. ASSP 26(1),
1978. Steps are symmetric, a diagonal step counts twice, and a path stays in a band around the diagonal. The cost of the
best path is divided by the sum of both lengths. The time for a pair is proportional to the product of both lengths, so
that a few thousand segments are the practical limit.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.core.vectors import unit

Floats = NDArray[np.floating]

MOST_SEQUENCES = 3000
BAND = 0.2
# Above any sum of frame costs, which are in [0, 2].
_FORBIDDEN = 1e6


def halved(frames: Floats) -> Floats:
    """Average every two frames, shape (t, d), to shape (⌈t / 2⌉, d), which makes warping four times as fast.

    >>> halved(np.float32([[1], [3], [5]])).tolist()
    [[2.0], [5.0]]
    """
    odd = frames[len(frames) - len(frames) % 2 :]
    pairs = frames[: len(frames) - len(odd)].reshape(-1, 2, frames.shape[1]).mean(axis=1)
    return np.concatenate([pairs, odd])


def warped_distances(
    sequences: Sequence[Floats],
    *,
    band: float = BAND,
    most: int = MOST_SEQUENCES,
    progress: Progress = no_progress,
) -> Floats:
    """Compute the dynamic time warping distance of every two sequences of frames.

    The distance of two frames is 1 minus their cosine.

    Args:
        sequences: frames of each sequence, shape (t, d), t > 0.
        band: largest distance of a path from the diagonal, as a share of the length; the diagonal is always allowed.
        most: largest number of sequences.
        progress: called after each sequence.

    Returns:
        Distances, shape (n, n), symmetric, in [0, 2], zero on the diagonal.

    Raises:
        InputError: there are too many sequences.
    """
    check_count(len(sequences), most)
    units = [unit(sequence, tiny=1e-9) for sequence in sequences]
    # Sequences are sorted by length, so that a batch needs little padding.
    order = np.argsort([len(sequence) for sequence in units], kind="stable")
    lengths = np.array([len(units[row]) for row in order])
    padded = np.zeros((len(units), lengths.max(initial=1), units[0].shape[1] if units else 1), np.float32)
    for index, row in enumerate(order):
        padded[index, : lengths[index]] = units[row]
    found = np.zeros((len(units), len(units)), np.float32)
    for index in range(1, len(units)):
        one, others = padded[index, : lengths[index]], padded[:index, : lengths[index - 1]]
        found[index, :index] = _warp(one, others, lengths[:index], band)
        progress("warping", index + 1, len(units))
    found += found.T
    back = np.argsort(order)
    return found[np.ix_(back, back)]


def check_count(count: int, most: int = MOST_SEQUENCES) -> None:
    """Refuse more than `most` sequences, because comparing them takes too long.

    Raises:
        InputError: there are more than `most`.
    """
    if count > most:
        raise InputError(
            f"{count} segments: dynamic time warping compares all pairs of at most {most:,} segments; use fewer"
            " segments, or the encoder log-mel-mean"
        )


def _warp(one: Floats, others: Floats, lengths: NDArray[np.integer], band: float) -> Floats:
    """Warping distances, shape (m,), of one sequence, shape (t, d), to m others, shape (m, s, d).

    The others have `lengths` frames, followed by padding; `band` is as in `warped_distances`.
    """
    costs = (1 - others @ one.T).transpose(2, 0, 1)  # (t, m, s)
    columns = np.arange(costs.shape[2])
    # Position of each column on the diagonal, in frames of `one`; padding follows the end and has no effect.
    diagonal = columns * ((len(one) - 1) / np.maximum(lengths - 1, 1))[:, None]
    margin = np.maximum(band * len(one), np.maximum(1, len(one) / lengths))[:, None]
    ended = lengths - 1, np.arange(len(others))
    before = np.full(costs.shape[1:], np.inf)
    for row, cost in enumerate(costs):
        # float64: the costs of forbidden frames are added to others and subtracted again.
        cost = np.where(np.abs(row - diagonal) <= margin, cost.astype(np.float64), _FORBIDDEN)
        entered = before + cost if row else np.full(cost.shape, np.inf)
        if row:
            np.minimum(entered[:, 1:], before[:, :-1] + 2 * cost[:, 1:], out=entered[:, 1:])
        else:
            entered[:, 0] = 2 * cost[:, 0]
        # Steps along the row are one running minimum: the least cost of entering the row so far, plus the costs since.
        walked = np.cumsum(cost, axis=1)
        before = np.minimum.accumulate(entered - walked, axis=1) + walked
    return (before[ended[1], ended[0]] / (len(one) + lengths)).astype(np.float32)
