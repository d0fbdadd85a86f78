"""From which similarity on two segments count as alike: so that the wanted share of segments has a neighbor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.training.mining.segment_table import Bools, Ints

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Curve:
    """What each threshold would keep, from the highest down.

    Attributes:
        thresholds: in steps of a bin, shape (b,).
        coverage: share of all segments that have a neighbor at least so similar, shape (b,).
        chosen: which threshold comes closest to the wanted coverage.
    """

    thresholds: Floats
    coverage: Floats
    chosen: int

    @property
    def threshold(self) -> float:
        """The one that was chosen."""
        return float(self.thresholds[self.chosen])


def edges(bin_width: float) -> Floats:
    """Thresholds from -1 to 1, rising; whole hundredths are exact: 0.29, and not 28 times 0.01.

    >>> edges(0.5).tolist()
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    steps = int(1 / bin_width + 1e-6)
    return np.round(np.arange(-steps, steps + 1) * bin_width, 9)


def tally(similarities: Floats, bin_width: float, counted: Bools | None = None) -> Ints:
    """How many similarities lie in each bin, shape (b,); -inf lies in none.

    Args:
        similarities: of any shape.
        bin_width: of `edges`; a bin begins at its edge.
        counted: which of them count, of the same shape; None for all.
    """
    borders = edges(bin_width)
    is_known = np.isfinite(similarities)
    # Rounding may lift the cosine of a vector with itself above 1, and lower that of its opposite below -1.
    values = np.clip(similarities[is_known].astype(np.float64), borders[0], 1)
    numbers = np.searchsorted(borders, values, side="right") - 1
    return np.bincount(numbers, None if counted is None else counted[is_known], minlength=len(borders)).astype(np.int64)


def choose_threshold(best: Floats, wanted: float, bin_width: float) -> Curve:
    """Lower the threshold bin by bin, and take the one at which the covered segments are closest to what is wanted.

    Where any segment has a neighbor, some are covered.

    Args:
        best: similarity of each segment's nearest neighbor, shape (n,); -inf where it has none.
        wanted: coverage, as a share of all n segments.
        bin_width: of similarity.
    """
    counts = np.cumsum(tally(best, bin_width)[::-1])
    # None at all may be closest to a few, where all segments lie in one bin; but nothing can be learned from it.
    distance = np.where(counts > 0, np.abs(counts - wanted * len(best)), np.inf)
    # The first of equally close ones is the highest.
    chosen = int(np.argmin(distance))
    return Curve(edges(bin_width)[::-1], counts / len(best), chosen)
