"""Which word was taken for which."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Confusion:
    """How many clips of each row were taken for each column.

    Attributes:
        rows: what was said.
        columns: what it was taken for.
        counts: a tuple of numbers for each row.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def count_confusion(rows: tuple[str, ...], columns: tuple[str, ...], said: Ints, taken: Ints) -> Confusion:
    """Count clips, shape (n,) the numbers of their row and of their column.

    >>> count_confusion(("yes", "no"), ("yes", "no"), np.array([0, 0, 1]), np.array([0, 1, 1])).counts
    ((1, 1), (0, 1))
    """
    counts = np.zeros((len(rows), len(columns)), int)
    np.add.at(counts, (said, taken), 1)
    return Confusion(rows, columns, tuple(tuple(row) for row in counts.tolist()))
