"""How well each word is told from the others: precision and recall, from a table of what was taken for what.

A row of the table is what was said, a column what it was taken for. Precision of a word is the share of its column
that is right, recall the share of its row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

METRICS = {
    "error": "error",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "weighted_precision": "weighted precision",
    "weighted_recall": "weighted recall",
}
"""What is measured: key in the results and what it says."""


@dataclass(frozen=True)
class WordRates:
    """Precision and recall of each word in each of several repetitions.

    Attributes:
        words: in the order of the columns.
        precision: shape (r, c), in [0, 1]; 0 where no clip was taken for the word; NaN where no clip says it.
        recall: shape (r, c), in [0, 1]; NaN where no clip says the word.
        clips: shape (c,), test clips that say the word, mean over the repetitions.
    """

    words: tuple[str, ...]
    precision: Floats
    recall: Floats
    clips: Floats


def count(said: Ints, taken: Ints, classes: int, weights: Floats | None = None) -> Floats:
    """How many clips of each row were taken for each column.

    Args:
        said: shape (n,), the word of each clip, 0 … classes - 1.
        taken: shape (n,), what it was taken for.
        classes: how many words there are.
        weights: shape (n,), how often each clip counts; None counts each once.

    Returns:
        Shape (classes, classes).

    Raises:
        InputError: a number that is none of a word, or lengths that differ.

    >>> count(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    said, taken = np.asarray(said), np.asarray(taken)
    if said.ndim != 1 or said.shape != taken.shape:
        raise InputError(f"said {said.shape}, taken {taken.shape}: one length needed")
    if said.size and not 0 <= min(said.min(), taken.min()) <= max(said.max(), taken.max()) < classes:
        raise InputError(f"said and taken must lie in 0 … {classes - 1}")
    return np.bincount(said * classes + taken, weights, classes * classes).astype(np.float64).reshape(classes, classes)


def precision_and_recall(counts: Floats) -> tuple[Floats, Floats]:
    """Both of each word, each of shape (c,); see `WordRates` for words that nobody said or nothing was taken for.

    >>> [rates.tolist() for rates in precision_and_recall(np.array([[3, 1], [0, 4]]))]
    [[1.0, 0.8], [0.75, 1.0]]
    """
    right, said, taken = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    is_said = said > 0
    precision = np.divide(right, taken, out=np.zeros(len(right)), where=taken > 0)
    recall = np.divide(right, said, out=np.zeros(len(right)), where=is_said)
    return np.where(is_said, precision, np.nan), np.where(is_said, recall, np.nan)


def numbers_of(counts: Floats) -> dict[str, float]:
    """Every number of `METRICS`; words that nobody said are left out of the means.

    Raises:
        InputError: no clip at all.

    >>> found = numbers_of(np.array([[3, 1], [0, 4]]))
    >>> found["error"], found["macro_precision"], found["weighted_recall"]
    (0.125, 0.9, 0.875)
    """
    said = counts.sum(axis=1)
    if not said.any():
        raise InputError("no test clip of any word")
    kept = said > 0
    precision, recall = (rates[kept] for rates in precision_and_recall(counts))
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros(len(both)), where=both > 0)
    share = said[kept] / said.sum()
    return {
        "error": float(1 - np.trace(counts) / counts.sum()),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "weighted_precision": float(share @ precision),
        "weighted_recall": float(share @ recall),
    }


def word_rates(words: Sequence[str], tables: Sequence[Floats]) -> WordRates:
    """The rates of each word from the table, shape (c, c), of each repetition."""
    precision, recall = zip(*(precision_and_recall(table) for table in tables), strict=True)
    clips = np.mean([table.sum(axis=1) for table in tables], axis=0)
    return WordRates(tuple(words), np.stack(precision), np.stack(recall), clips)
