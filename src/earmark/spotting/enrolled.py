"""An enrolled thing: what keywords and speakers have in common."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and the rate of false alarms or false accepts that it was chosen for; None where it is unknown."""

    threshold: float
    rate: float | None


def operating_point(
    threshold_at: Callable[[float], float],
    rate: float | None,
    default: float,
    *,
    known: OperatingPoint | None = None,
    is_comparable: bool = False,
) -> OperatingPoint:
    """Choose a threshold: for `rate`, else the known one, else for the known rate, else for the default rate.

    Args:
        threshold_at: from a rate to the encoder's threshold.
        rate: what the caller asks for; None keeps what is known.
        default: the rate where none is known.
        known: the operating point so far.
        is_comparable: whether the known threshold is one of this encoder.
    """
    if rate is None and known is not None:
        if is_comparable:
            return known
        rate = known.rate
    chosen = default if rate is None else rate
    return OperatingPoint(threshold_at(chosen), chosen)
