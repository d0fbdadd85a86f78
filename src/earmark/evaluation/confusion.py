"""Confusion matrices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix: the number of clips by label and predicted label.

    Attributes:
        rows: names of the labels.
        columns: names of the predicted labels.
        counts: one tuple of counts per row.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def count_confusion(rows: tuple[str, ...], columns: tuple[str, ...], labels: Ints, predictions: Ints) -> Confusion:
    """Count clips by label and prediction.

    Args:
        rows: names of the labels.
        columns: names of the predicted labels.
        labels: index of each clip's row, shape (n,).
        predictions: index of each clip's column, shape (n,).

    >>> count_confusion(("yes", "no"), ("yes", "no"), np.array([0, 0, 1]), np.array([0, 1, 1])).counts
    ((1, 1), (0, 1))
    """
    counts = np.zeros((len(rows), len(columns)), int)
    np.add.at(counts, (labels, predictions), 1)
    return Confusion(rows, columns, tuple(tuple(row) for row in counts.tolist()))
