"""Statistics of mined pairs: how many are of one speaker, of one recording, or of segments with equal labels."""

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.training.mining.neighbors import Neighbors
from earmark.training.mining.pairs import kept_pairs
from earmark.training.mining.segment_table import Bools, Ints, SegmentTable
from earmark.training.mining.threshold import histogram

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class PairCounts:
    """How many mined pairs there are of each kind.

    Attributes:
        pairs: all pairs.
        segments: segments in at least one pair.
        same_speaker: pairs of segments of one speaker.
        across_speakers: pairs of segments of two speakers.
        unknown_speaker: pairs with at least one unknown speaker.
        same_recording: pairs from one recording.
        labeled: pairs with two known labels.
        agreeing: pairs with two equal labels.
    """

    pairs: int
    segments: int
    same_speaker: int
    across_speakers: int
    unknown_speaker: int
    same_recording: int
    labeled: int
    agreeing: int

    @property
    def purity(self) -> float:
        """Share of pairs with equal labels among the pairs whose segments both have a label; NaN if there are none."""
        return self.agreeing / self.labeled if self.labeled else float("nan")

    def document(self) -> dict[str, Any]:
        """Convert the counts and the purity to a JSON object for `results.json`."""
        return {**asdict(self), "purity": self.purity}


@dataclass(frozen=True, eq=False)
class Histograms:
    """How many nearest neighbors have a similarity in each of b bins, in ascending order of the similarity.

    Attributes:
        neighbors: all neighbors, shape (b,).
        nearest: the nearest neighbor of each segment, shape (b,).
        labeled: neighbors where both segments have a label, shape (b,).
        agreeing: neighbors where both segments have the same label, shape (b,).
    """

    neighbors: Ints
    nearest: Ints
    labeled: Ints
    agreeing: Ints

    def purity_from(self) -> Floats:
        """Compute the share of neighbors with equal labels above each threshold, shape (b,).

        The thresholds are the lower edges of the bins, in descending order. Only neighbors with two labels are counted;
        the share is NaN if there are none.
        """
        agreeing, labeled = (np.cumsum(counts[::-1]) for counts in (self.agreeing, self.labeled))
        return np.where(labeled > 0, agreeing / np.maximum(labeled, 1), np.nan)


def count_pairs(neighbors: Neighbors, table: SegmentTable, threshold: float, *, mutual: bool) -> PairCounts:
    """Count the pairs of neighbors whose similarity is at least the threshold, by kind.

    If `mutual` is true, only pairs in which each segment is a neighbor of the other are counted.
    """
    sums: Counter[str] = Counter()
    is_used = np.zeros(len(table), np.bool_)
    is_named = _is_known(table.names.speaker)
    for first, second, _ in kept_pairs(neighbors, threshold, mutual=mutual):
        one, other = table.rows[first], table.rows[second]
        is_used[first] = is_used[second] = True
        both = is_named[one["speaker"]] & is_named[other["speaker"]]
        is_same = one["speaker"] == other["speaker"]
        labeled, agreeing = _compare_labels(table, first, second)
        found = {
            "pairs": np.ones(len(first), np.bool_),
            "same_speaker": both & is_same,
            "across_speakers": both & ~is_same,
            "unknown_speaker": ~both,
            "same_recording": one["file"] == other["file"],
            "labeled": labeled,
            "agreeing": agreeing,
        }
        for name, values in found.items():
            sums[name] += int(values.sum())
    sums["segments"] = int(is_used.sum())
    return PairCounts(**{field.name: sums[field.name] for field in fields(PairCounts)})


def neighbor_histograms(neighbors: Neighbors, table: SegmentTable, bin_width: float, *, mutual: bool) -> Histograms:
    """Count the neighbors of all segments in bins of their similarity.

    If `mutual` is true, only neighbors that also have the segment as a neighbor are counted.
    """
    sums: list[Ints] = []
    for queries, similarities, rows in neighbors.pieces(mutual=mutual):
        labeled, agreeing = _compare_labels(table, queries[:, None], rows)
        counted = (
            histogram(similarities, bin_width),
            histogram(similarities.max(axis=1), bin_width),
            histogram(similarities, bin_width, labeled),
            histogram(similarities, bin_width, agreeing),
        )
        sums = [total + some for total, some in zip(sums, counted, strict=True)] if sums else list(counted)
    return Histograms(*sums)


def chance_agreement(table: SegmentTable) -> float:
    """Probability that two labeled segments drawn at random have equal labels; NaN without labels."""
    counts = np.bincount(table.rows["label"], minlength=len(table.names.label))[_is_known(table.names.label)]
    total = counts.sum()
    return float((counts * (counts - 1)).sum() / (total * (total - 1))) if total > 1 else float("nan")


def _compare_labels(table: SegmentTable, first: Ints, second: Ints) -> tuple[Bools, Bools]:
    """Compare the labels of pairs of segments, which are given by their rows in the table.

    Returns:
        For each pair, whether both segments have a label, and whether both have the same label.
    """
    is_known = _is_known(table.names.label)
    one, other = table.rows["label"][first], table.rows["label"][second]
    known = is_known[one] & is_known[other]
    return known, known & (one == other)


def _is_known(names: list[str]) -> Bools:
    return np.array([bool(name) for name in names], np.bool_)
