"""Metrics with their uncertainty: standard deviations and 95 % intervals."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.report import number_text

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Estimate:
    """A metric and its 95 % interval over speakers.

    Attributes:
        value: the metric; NaN where it cannot be measured.
        low: lower end of the interval; NaN without interval.
        high: upper end of the interval; NaN without interval.
    """

    value: float
    low: float
    high: float

    def text(self, *, percent: bool = True) -> str:
        """Format the metric and its interval.

        >>> Estimate(0.922, 0.901, 0.94).text(), Estimate(0.428, 0.41, 0.45).text(percent=False)
        ('92.2 (90.1–94.0)', '0.428 (0.410–0.450)')
        """
        return number_text(self.value, low=self.low, high=self.high, percent=percent)


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a metric over several lists or repetitions.

    Attributes:
        mean: over the lists; NaN where it cannot be measured.
        sd: sample standard deviation over the lists; NaN for one list.
        low: lower end of the 95 % interval of the mean over test speakers; NaN where speakers are unknown.
        high: upper end of this interval.
    """

    mean: float
    sd: float
    low: float
    high: float

    def text(self, *, interval: bool = True) -> str:
        """Format in percent: mean ± standard deviation, and the interval over speakers if `interval` is set.

        >>> Spread(0.5, 0.02, 0.45, 0.56).text(), Spread(0.5, 0.02, 0.45, 0.56).text(interval=False)
        ('50.0 ± 2.0 (45.0–56.0)', '50.0 ± 2.0')
        """
        if interval:
            return number_text(self.mean, margin=self.sd, low=self.low, high=self.high)
        return number_text(self.mean, margin=self.sd)


def estimates(keys: Iterable[str], values: Floats, ends: tuple[Floats, Floats] | None) -> dict[str, Estimate]:
    """Make an `Estimate` of each number, by its key.

    Args:
        keys: names of n numbers.
        values: shape (n,).
        ends: lower and upper ends of the intervals, each shape (n,); None without intervals.
    """
    values = np.asarray(values)
    low, high = ends if ends is not None else np.full((2, len(values)), np.nan)
    rows = np.stack([values, low, high], axis=1).tolist()
    return {key: Estimate(*row) for key, row in zip(keys, rows, strict=True)}


def spreads(values: Floats, ends: tuple[Floats, Floats] | None) -> list[Spread]:
    """Make a `Spread` of each of n numbers over the lists.

    Args:
        values: shape (lists, n).
        ends: lower and upper ends of the intervals of the means, each shape (n,); None without intervals.
    """
    missing = np.full(values.shape[1], np.nan)
    low, high = ends if ends is not None else (missing, missing)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else missing
    return [Spread(*row) for row in np.stack([values.mean(axis=0), sd, low, high], axis=1).tolist()]
