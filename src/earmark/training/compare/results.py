"""Result of one test: the metrics of a run with one back-end in one condition."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from earmark.core.numbers import finite
from earmark.evaluation.metrics import ErrorCurve, corners

OPEN_SET = "open set"
IDENTIFICATION = "speaker identification"
VERIFICATION = "speaker verification"

Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""False-acceptance and false-rejection rates at the corners of an error curve."""

NO_CURVE: Curve = ((), ())


@dataclass(frozen=True)
class Result:
    """Metrics of a run with one back-end in one condition of one test.

    Attributes:
        test: name of the test.
        condition: condition of a few-shot test, such as `k5`; the kind of any other test.
        backend: name of the back-end that computes the scores.
        numbers: fractions and costs by name, see `METRICS` of `few_shot`, `open_set`, `identification` and
            `verification`; None if a metric is undefined.
        curve: error curve of the scores; empty if the test accepts or rejects nothing.
    """

    test: str
    condition: str
    backend: str
    numbers: dict[str, float | None]
    curve: Curve = NO_CURVE

    @classmethod
    def of(
        cls, test: str, condition: str, backend: str, numbers: dict[str, float], curve: ErrorCurve | None = None
    ) -> Self:
        """Make a result, with None for numbers that are not finite, and with the curve reduced to 400 points."""
        return cls(test, condition, backend, finite(numbers), NO_CURVE if curve is None else thin_curve(curve))

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Make a result from its JSON object."""
        far, frr = row["curve"]
        return cls(row["test"], row["condition"], row["backend"], row["numbers"], (tuple(far), tuple(frr)))


def thin_curve(curve: ErrorCurve, points: int = 400) -> Curve:
    """Reduce an error curve to at most `points` corners."""
    kept = corners(curve)
    rows = np.unique(np.linspace(0, len(kept.alarms) - 1, points).round().astype(int))
    return tuple(kept.far[rows].tolist()), tuple(kept.frr[rows].tolist())
