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
        backend: computes scores from takes, classes or pairs.
        numbers: fractions and costs by name, see `METRICS` of `few_shot`, `open_set`, `identification` and
            `verification`; None where there is no number.
        curve: of the scores; empty where nothing is accepted or rejected.
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
        """A result with numbers that JSON can hold, and a curve with as many corners as a plot can show."""
        return cls(test, condition, backend, finite(numbers), NO_CURVE if curve is None else thin_curve(curve))

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """A result from `vars(result)` as JSON holds it."""
        far, frr = row["curve"]
        return cls(row["test"], row["condition"], row["backend"], row["numbers"], (tuple(far), tuple(frr)))


def thin_curve(curve: ErrorCurve, points: int = 400) -> Curve:
    """At most `points` corners of a curve."""
    kept = corners(curve)
    rows = np.unique(np.linspace(0, len(kept.alarms) - 1, points).round().astype(int))
    return tuple(kept.far[rows].tolist()), tuple(kept.frr[rows].tolist())
