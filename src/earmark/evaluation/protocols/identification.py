"""Which of the known speakers is it? A closed set: the classes that an encoder was trained to tell apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation import metrics
from earmark.evaluation.protocols.open_set import Estimate

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

METRICS = {"top_1": "top-1 accuracy", "top_5": "top-5 accuracy"}
"""What is measured: key in the results and what it says; fractions."""


def compute_metrics(
    logits: Floats, classes: Sequence[str], labels: Sequence[str], rng: np.random.Generator | None = None
) -> dict[str, Estimate]:
    """Share of clips whose speaker has the best score, or one of the five best, with 95 % intervals over speakers.

    Args:
        logits: shape (n, c), without margin.
        classes: the speakers in the order of the columns.
        labels: the speaker of each clip, one of `classes`.
        rng: draws speakers for the intervals; None leaves the intervals out.

    Returns:
        By the keys of `METRICS`.

    Raises:
        InputError: a label that is no class, shapes that do not fit, or a logit that is not a number.

    >>> found = compute_metrics(np.float32([[3, 1], [2, 1]]), ["anna", "bob"], ["anna", "bob"])
    >>> found["top_1"].value, found["top_5"].value
    (0.5, 1.0)
    """
    places = ranks(logits, classes, labels)
    right = np.stack([places < 1, places < 5], axis=1).astype(np.float64)
    low = high = np.full(len(METRICS), np.nan)
    if rng is not None:
        low, high = metrics.interval_over_speakers(lambda weights: weights @ right / weights.sum(), labels, rng)
    rows = np.stack([right.mean(axis=0), low, high], axis=1).tolist()
    return {key: Estimate(*row) for key, row in zip(METRICS, rows, strict=True)}


def ranks(logits: Floats, classes: Sequence[str], labels: Sequence[str]) -> Ints:
    """How many classes stand before the right one, shape (n,); of equal scores, the first column's is before.

    Raises:
        InputError: as `compute_metrics`.
    """
    if logits.ndim != 2 or logits.shape != (len(labels), len(classes)) or not len(labels):
        raise InputError(f"logits {logits.shape}: {len(labels)} clips and {len(classes)} classes need as many")
    if np.isnan(logits).any():
        raise InputError(f"logits of clip {np.isnan(logits).any(axis=1).argmax() + 1}: not a number among them")
    column = {name: number for number, name in enumerate(classes)}
    unknown = sorted(set(labels) - column.keys())
    if unknown:
        raise InputError(
            f"speaker {unknown[0]!r}: not one of the {len(classes)} that the encoder was trained to tell apart"
            + (f", nor are {len(unknown) - 1} more; leave them out of the list" if len(unknown) > 1 else "")
        )
    own = np.array([column[label] for label in labels])
    score = np.take_along_axis(logits, own[:, None], axis=1)
    before = (logits == score) & (np.arange(len(classes)) < own[:, None])
    return np.asarray(((logits > score) | before).sum(axis=1))
