"""Where a clip lies among others: how far its mel spectrogram is from an anchor, the mean of many (or from several).

To know how far each of n clips lies from each other takes n² distances. A distance to one anchor takes n, and a mean
that was summed up on the way: what is kept of the clips is one spectrogram.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError

Floats = NDArray[np.floating]

AT_ONCE = 1024
_PASSES = 10


def positions(vectors: Floats, anchors: Floats) -> NDArray[np.float32]:
    """Cosine distance of every vector to every anchor: 1 - cos(v, a), from 0 to 2.

    A vector of zeros, as of digital silence, has no direction and counts as at right angles to everything: 1.

    Args:
        vectors: shape (n, d), read in pieces, so that they may lie in a file.
        anchors: shape (k, d).

    Returns:
        Shape (n, k).

    >>> positions(np.float32([[3, 0], [0, 1], [0, 0]]), np.float32([[1, 0]])).tolist()
    [[0.0], [1.0], [1.0]]
    """
    toward = _unit(np.asarray(anchors, np.float64)).T.astype(np.float32)
    found = np.empty((len(vectors), len(anchors)), np.float32)
    for rows, piece in _pieces(vectors):
        norms = np.linalg.norm(piece, axis=1, keepdims=True)
        found[rows] = 1 - (piece @ toward) / np.where(norms > 0, norms, 1)
    return found


def mean_of(pieces: Iterable[Floats]) -> NDArray[np.float64]:
    """The mean of vectors that come in pieces of shape (some, d), shape (d,); no more than a piece is ever held.

    Raises:
        InputError: no vector.
    """
    total, count = None, 0
    for piece in pieces:
        some = piece.sum(axis=0, dtype=np.float64)
        total = some if total is None else total + some
        count += len(piece)
    if total is None or not count:
        raise InputError("an anchor is the mean of clips, and there are none; give one or more")
    return total / count


def choose_anchors(vectors: Floats, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Anchors among vectors: for one the mean of all, as published; for more the means of as many groups.

    The groups are those of k-means by the distance that positions are measured with: a vector belongs to the anchor
    with the smallest angle. Means of random parts would say no more than one anchor: the more clips there are, the more
    they are alike. The first anchors are vectors far apart, drawn as by Arthur and Vassilvitskii 2007 (k-means++).

    Args:
        vectors: shape (n, d), read in pieces, in up to ten passes.
        count: of anchors.
        generator: of the first anchors; for one anchor nothing is drawn.

    Returns:
        Shape (count, d).

    Raises:
        InputError: fewer vectors with a direction than anchors.
    """
    if count == 1:
        return mean_of(piece for _, piece in _pieces(vectors))[None]
    anchors = _first_anchors(vectors, count, generator)
    nearest = np.full(len(vectors), -1)
    for _ in range(_PASSES):
        before, nearest = nearest, positions(vectors, anchors).argmin(axis=1)
        if (before == nearest).all():
            break
        sums, sizes = np.zeros_like(anchors), np.bincount(nearest, minlength=count)
        for rows, piece in _pieces(vectors):
            # A product with who-belongs-where adds up all groups in one go.
            sums += (nearest[rows] == np.arange(count)[:, None]) @ piece.astype(np.float64)
        # An anchor that no vector is nearest to stays where it is.
        anchors = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], anchors)
    return anchors


def _first_anchors(vectors: Floats, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    loud = np.concatenate([piece.any(axis=1) for _, piece in _pieces(vectors)])
    if loud.sum() < count:
        raise InputError(f"{loud.sum()} clips that are not silent give no {count} anchors; ask for fewer")
    weights = loud.astype(float)
    anchors: list[Floats] = []
    while len(anchors) < count:
        total = weights.sum()
        # Where all that are left equal an anchor, any of them will do.
        shares = weights / total if total > 0 else loud / loud.sum()
        anchors.append(np.asarray(vectors[generator.choice(len(vectors), p=shares)], np.float64))
        distance = positions(vectors, anchors[-1][None])[:, 0].clip(0)
        weights = np.minimum(weights, distance) * loud
    return np.stack(anchors)


def _pieces(vectors: Floats) -> Iterator[tuple[slice, Floats]]:
    for start in range(0, len(vectors), AT_ONCE):
        rows = slice(start, min(start + AT_ONCE, len(vectors)))
        yield rows, np.asarray(vectors[rows])


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
