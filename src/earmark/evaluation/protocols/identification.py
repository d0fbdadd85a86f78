"""Closed-set speaker identification among the classes that an encoder was trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation import metrics
from earmark.evaluation.estimates import Estimate, estimates

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

METRICS = {"top_1": "top-1 accuracy", "top_5": "top-5 accuracy"}
"""Name of each metric, by its key in the results; fractions."""


def compute_metrics(
    logits: Floats, classes: Sequence[str], labels: Sequence[str], rng: np.random.Generator | None = None
) -> dict[str, Estimate]:
    """Top-1 and top-5 accuracy with 95 % intervals over speakers.

    Args:
        logits: class logits of the clips without the margin of a loss, shape (n, c).
        classes: speakers in the order of the columns.
        labels: speaker of each clip, one of `classes`.
        rng: draws speakers for the intervals; None computes no intervals.

    Returns:
        Estimates by the keys of `METRICS`.

    Raises:
        InputError: a label is not one of the classes, the shapes do not fit, or a logit is NaN.

    >>> found = compute_metrics(np.float32([[3, 1], [2, 1]]), ["anna", "bob"], ["anna", "bob"])
    >>> found["top_1"].value, found["top_5"].value
    (0.5, 1.0)
    """
    places = ranks(logits, classes, labels)
    right = np.stack([places < 1, places < 5], axis=1).astype(np.float64)
    ends = None
    if rng is not None:
        ends = metrics.interval_over_speakers(lambda weights: weights @ right / weights.sum(), labels, rng)
    return estimates(METRICS, right.mean(axis=0), ends)


def ranks(logits: Floats, classes: Sequence[str], labels: Sequence[str]) -> Ints:
    """Number of classes ranked before the right class of each clip, shape (n,); ties rank in the order of the columns.

    Raises:
        InputError: as in `compute_metrics`.
    """
    if logits.ndim != 2 or logits.shape != (len(labels), len(classes)) or not len(labels):
        raise InputError(
            f"logits: the shape is {logits.shape}; expected ({len(labels)}, {len(classes)}), one row or more"
        )
    if np.isnan(logits).any():
        raise InputError(f"logits of clip {np.isnan(logits).any(axis=1).argmax() + 1}: one is NaN; check the encoder")
    column = {name: number for number, name in enumerate(classes)}
    unknown = sorted(set(labels) - column.keys())
    if unknown:
        raise InputError(
            f"speaker {unknown[0]!r}"
            + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else "")
            + f": not among the {len(classes)} classes of the encoder; remove their recordings from the list"
        )
    own = np.array([column[label] for label in labels])
    score = np.take_along_axis(logits, own[:, None], axis=1)
    before = (logits == score) & (np.arange(len(classes)) < own[:, None])
    return np.asarray(((logits > score) | before).sum(axis=1))
