"""Result of a test on one trained encoder: the metrics of one back-end in one condition of the test."""

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
    """Metrics that an encoder reaches with one back-end in one condition of a test.

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
        """Make a result; numbers that are not finite become None, and an error curve is reduced to 400 points."""
        return cls(test, condition, backend, finite(numbers), NO_CURVE if curve is None else thin_curve(curve))

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Make a result from a JSON object that has its attributes as keys."""
        far, frr = row["curve"]
        return cls(row["test"], row["condition"], row["backend"], row["numbers"], (tuple(far), tuple(frr)))


def thin_curve(curve: ErrorCurve, points: int = 400) -> Curve:
    """Select up to `points` evenly spaced corners of an error curve; return their two error rates."""
    kept = corners(curve)
    rows = np.unique(np.linspace(0, len(kept.alarms) - 1, points).round().astype(int))
    return tuple(kept.far[rows].tolist()), tuple(kept.frr[rows].tolist())
