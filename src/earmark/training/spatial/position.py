"""Positions of clips: the cosine distances of their mel spectra to one or several anchors.

Comparing all n clips with each other takes n² distances. Comparing them with one anchor, the mean of all clips, takes n
distances and memory for one spectrum.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.vectors import unit

Floats = NDArray[np.floating]

BLOCK = 1024
"""Number of vectors to compare at a time."""

_PASSES = 10


def positions(vectors: Floats, anchors: Floats) -> NDArray[np.float32]:
    """Compute the cosine distance of each vector v to each anchor a: 1 - cos(v, a), from 0 to 2.

    Args:
        vectors: shape (n, d); they are read in blocks, so that they may be mapped into memory. A vector of zeros, such
            as that of digital silence, has distance 1 to all anchors.
        anchors: shape (k, d).

    Returns:
        Distances, shape (n, k).

    >>> positions(np.float32([[3, 0], [0, 1], [0, 0]]), np.float32([[1, 0]])).tolist()
    [[0.0], [1.0], [1.0]]
    """
    toward = unit(np.asarray(anchors, np.float64)).T.astype(np.float32)
    found = np.empty((len(vectors), len(anchors)), np.float32)
    for rows, block in _blocks(vectors):
        found[rows] = 1 - unit(block) @ toward
    return found


def mean_of(blocks: Iterable[Floats]) -> NDArray[np.float64]:
    """Compute the mean of vectors that come in blocks of shape (m, d); the result has shape (d,).

    One block is in memory at a time.

    Raises:
        InputError: there is no vector.
    """
    total, count = None, 0
    for block in blocks:
        some = block.sum(axis=0, dtype=np.float64)
        total = some if total is None else total + some
        count += len(block)
    if total is None or not count:
        raise InputError("the anchor is the mean of the unlabeled clips, but there are none; add clips")
    return total / count


def choose_anchors(vectors: Floats, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Choose the anchors, vectors whose distances to a clip are its position.

    A single anchor is the mean of all vectors, as published. Several anchors are the means of clusters.

    The clusters are found by k-means with the cosine distance, because means of random subsets would be nearly equal.
    The initial anchors are chosen by k-means++ (Arthur and Vassilvitskii 2007).

    Args:
        vectors: shape (n, d); they are read in blocks, in up to ten passes.
        count: number of anchors.
        generator: random generator for the initial anchors; it is not used for a single anchor.

    Returns:
        Anchors, shape (count, d).

    Raises:
        InputError: fewer than `count` vectors are not zero.
    """
    if count == 1:
        return mean_of(block for _, block in _blocks(vectors))[None]
    anchors = _initial_anchors(vectors, count, generator)
    nearest = np.full(len(vectors), -1)
    for _ in range(_PASSES):
        before, nearest = nearest, positions(vectors, anchors).argmin(axis=1)
        if (before == nearest).all():
            break
        sums, sizes = np.zeros_like(anchors), np.bincount(nearest, minlength=count)
        for rows, block in _blocks(vectors):
            # The product with the membership matrix sums all clusters at once.
            sums += (nearest[rows] == np.arange(count)[:, None]) @ block.astype(np.float64)
        # The anchor of an empty cluster does not change.
        anchors = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], anchors)
    return anchors


def _initial_anchors(vectors: Floats, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    loud = np.concatenate([block.any(axis=1) for _, block in _blocks(vectors)])
    if loud.sum() < count:
        raise InputError(
            f"anchors: {count} anchors need as many clips that are not silent, but there are {loud.sum()}; lower it"
        )
    weights = loud.astype(float)
    anchors: list[Floats] = []
    while len(anchors) < count:
        total = weights.sum()
        # If all other vectors are equal to an anchor, any vector is chosen.
        shares = weights / total if total > 0 else loud / loud.sum()
        anchors.append(np.asarray(vectors[generator.choice(len(vectors), p=shares)], np.float64))
        distance = positions(vectors, anchors[-1][None])[:, 0].clip(0)
        weights = np.minimum(weights, distance) * loud
    return np.stack(anchors)


def _blocks(vectors: Floats) -> Iterator[tuple[slice, Floats]]:
    for start in range(0, len(vectors), BLOCK):
        rows = slice(start, min(start + BLOCK, len(vectors)))
        yield rows, np.asarray(vectors[rows])
