"""What one back-end makes of a run in one condition of one test."""

from dataclasses import dataclass

import numpy as np

from earmark.evaluation.metrics import ErrorCurve, corners

OPEN_SET = "open set"
IDENTIFICATION = "speaker identification"
VERIFICATION = "speaker verification"


@dataclass(frozen=True)
class Verdict:
    """What one back-end makes of a run in one condition of one test.

    Attributes:
        test: the test's name.
        condition: such as `k5`; of any other test than a few-shot one what kind of test it is.
        backend: how takes, classes or pairs gave scores.
        numbers: fractions and costs by name, see `METRICS` of `few_shot`, `open_set`, `identification` and
            `verification`; NaN is None.
        curve: false-acceptance and false-rejection rates at the corners of the error curve; empty where nothing is
            accepted or rejected.
    """

    test: str
    condition: str
    backend: str
    numbers: dict[str, float | None]
    curve: tuple[tuple[float, ...], tuple[float, ...]]


def thinned(curve: ErrorCurve, points: int = 400) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corners of a curve, as many as a plot can show."""
    kept = corners(curve)
    rows = np.unique(np.linspace(0, len(kept.alarms) - 1, points).round().astype(int))
    return tuple(kept.far[rows].tolist()), tuple(kept.frr[rows].tolist())
