"""Choice of the similarity threshold at which a wanted share of segments has a neighbor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.training.mining.segment_table import Bools, Ints

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Coverage, which is the share of segments that have a neighbor, at each similarity threshold, in descending order.

    Attributes:
        thresholds: cosines, one per bin, shape (b,).
        coverage: share of all segments that have a neighbor with at least this similarity, shape (b,).
        chosen: index of the threshold whose coverage is closest to the wanted coverage.
    """

    thresholds: Floats
    coverage: Floats
    chosen: int

    @property
    def threshold(self) -> float:
        """The chosen similarity threshold, a cosine."""
        return float(self.thresholds[self.chosen])


def bin_edges(bin_width: float) -> Floats:
    """Compute the lower edges of bins of cosines from -1 to 1, ascending, rounded to nine decimals.

    >>> bin_edges(0.5).tolist()
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    steps = int(1 / bin_width + 1e-6)
    return np.round(np.arange(-steps, steps + 1) * bin_width, 9)


def histogram(similarities: Floats, bin_width: float, counted: Bools | None = None) -> Ints:
    """Count the cosines in each of the b bins of `bin_edges`, shape (b,); -inf is in no bin.

    Args:
        similarities: cosines, of any shape.
        bin_width: width of a bin.
        counted: whether each similarity is counted, of the same shape; None for all.
    """
    edges = bin_edges(bin_width)
    is_known = np.isfinite(similarities)
    # Because of rounding, a cosine may be slightly above 1 or below -1.
    values = np.clip(similarities[is_known].astype(np.float64), edges[0], 1)
    numbers = np.searchsorted(edges, values, side="right") - 1
    return np.bincount(numbers, None if counted is None else counted[is_known], minlength=len(edges)).astype(np.int64)


def choose_threshold(best: Floats, wanted: float, bin_width: float) -> CoverageCurve:
    """Compute the coverage at each similarity threshold, and choose the threshold that gives the wanted coverage.

    The coverage of the chosen threshold is the closest one, but not zero if possible.

    Args:
        best: similarity of each segment's nearest neighbor, shape (n,); -inf for segments without neighbors.
        wanted: wanted coverage, as a share of all n segments.
        bin_width: step of the threshold.
    """
    counts = np.cumsum(histogram(best, bin_width)[::-1])
    # If all similarities are in one bin, a coverage of zero may be the closest, but would give no pairs.
    distance = np.where(counts > 0, np.abs(counts - wanted * len(best)), np.inf)
    # Of equally close thresholds, argmin returns the first, which is the highest.
    chosen = int(np.argmin(distance))
    return CoverageCurve(bin_edges(bin_width)[::-1], counts / len(best), chosen)
