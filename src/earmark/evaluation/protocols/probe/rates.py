"""Precision and recall of each word, from a table of counts.

Rows of the table are labels, columns are predictions. The precision of a word is the share of right predictions in its
column, the recall the share in its row.
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
"""Name of each metric, by its key in the results."""


@dataclass(frozen=True)
class WordRates:
    """Precision and recall of each word in each of several repetitions.

    Attributes:
        words: words in the order of the columns.
        precision: in [0, 1], shape (r, c); 0 if no clip is predicted as the word; NaN if no clip has the word.
        recall: in [0, 1], shape (r, c); NaN if no clip has the word.
        clips: number of test clips with the word, mean over the repetitions, shape (c,).
    """

    words: tuple[str, ...]
    precision: Floats
    recall: Floats
    clips: Floats


def count(labels: Ints, predicted: Ints, classes: int, weights: Floats | None = None) -> Floats:
    """Count clips by label and predicted word.

    Args:
        labels: word of each clip, 0 … classes - 1, shape (n,).
        predicted: predicted word of each clip, shape (n,).
        classes: number of words.
        weights: weight of each clip, shape (n,); None for 1.

    Returns:
        Shape (classes, classes).

    Raises:
        InputError: an index is outside 0 … classes - 1, or the lengths differ.

    >>> count(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise InputError(f"labels {labels.shape}, predicted {predicted.shape}: pass one of each per clip")
    both = np.concatenate([labels, predicted])
    if both.size and not 0 <= both.min() <= both.max() < classes:
        raise InputError(f"labels and predicted must be in 0 … {classes - 1}")
    counts = np.bincount(labels * classes + predicted, weights, classes * classes)
    return counts.astype(np.float64).reshape(classes, classes)


def precision_and_recall(counts: Floats) -> tuple[Floats, Floats]:
    """Precision and recall of each word, each of shape (c,), from counts of shape (c, c).

    Precision is 0 if no clip is predicted as the word; both are NaN if no clip has the word.

    >>> [rates.tolist() for rates in precision_and_recall(np.array([[3, 1], [0, 4]]))]
    [[1.0, 0.8], [0.75, 1.0]]
    """
    right, labeled, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    is_present = labeled > 0
    precision = np.divide(right, predicted, out=np.zeros(len(right)), where=predicted > 0)
    recall = np.divide(right, labeled, out=np.zeros(len(right)), where=is_present)
    return np.where(is_present, precision, np.nan), np.where(is_present, recall, np.nan)


def numbers_of(counts: Floats) -> dict[str, float]:
    """Compute the metrics of `METRICS` from counts of shape (c, c); words without clips are left out of the means.

    Raises:
        InputError: there is no clip.

    >>> found = numbers_of(np.array([[3, 1], [0, 4]]))
    >>> found["error"], found["macro_precision"], found["weighted_recall"]
    (0.125, 0.9, 0.875)
    """
    labeled = counts.sum(axis=1)
    if not labeled.any():
        raise InputError("counts: there is no test clip of any word; add test clips")
    kept = labeled > 0
    precision, recall = (rates[kept] for rates in precision_and_recall(counts))
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros(len(both)), where=both > 0)
    share = labeled[kept] / labeled.sum()
    return {
        "error": float(1 - np.trace(counts) / counts.sum()),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "weighted_precision": float(share @ precision),
        "weighted_recall": float(share @ recall),
    }


def word_rates(words: Sequence[str], tables: Sequence[Floats]) -> WordRates:
    """Rates of each word, from one table of counts, shape (c, c), per repetition."""
    precision, recall = zip(*(precision_and_recall(table) for table in tables), strict=True)
    clips = np.mean([table.sum(axis=1) for table in tables], axis=0)
    return WordRates(tuple(words), np.stack(precision), np.stack(recall), clips)
