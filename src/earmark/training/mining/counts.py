"""What was mined, in numbers: whose segments were paired, and whether the same is said in them."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.training.mining.neighbors import Neighbors
from earmark.training.mining.pairs import kept_pairs
from earmark.training.mining.segment_table import Bools, Ints, Places
from earmark.training.mining.threshold import tally

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Counts:
    """Of pairs, each once.

    Attributes:
        pairs: all.
        segments: that stand in a pair.
        same_speaker: pairs of one speaker.
        across_speakers: pairs of two speakers.
        unknown_speaker: pairs in which at least one speaker is unknown.
        same_recording: pairs from one recording.
        labeled: pairs in which both labels are known.
        agreeing: those of them whose labels are the same.
    """

    pairs: int = 0
    segments: int = 0
    same_speaker: int = 0
    across_speakers: int = 0
    unknown_speaker: int = 0
    same_recording: int = 0
    labeled: int = 0
    agreeing: int = 0

    @property
    def purity(self) -> float:
        """Share of labeled pairs whose labels agree; NaN without labels."""
        return self.agreeing / self.labeled if self.labeled else float("nan")

    def document(self) -> dict[str, Any]:
        """For results.json."""
        return {**asdict(self), "purity": self.purity}


@dataclass(frozen=True, eq=False)
class Tallies:
    """How many neighbors lie in each bin of similarity, from the lowest up; each shape (b,).

    Attributes:
        neighbors: all that were found.
        nearest: the nearest one of each segment.
        labeled: neighbors where both labels are known.
        agreeing: those of them whose labels are the same.
    """

    neighbors: Ints
    nearest: Ints
    labeled: Ints
    agreeing: Ints

    def purity_from(self) -> Floats:
        """Share of agreeing neighbors from each threshold on, the highest first, shape (b,); NaN where none is."""
        agreeing, labeled = (np.cumsum(counts[::-1]) for counts in (self.agreeing, self.labeled))
        return np.where(labeled > 0, agreeing / np.maximum(labeled, 1), np.nan)


def count_pairs(neighbors: Neighbors, places: Places, threshold: float, *, is_mutual: bool) -> Counts:
    """Count the pairs from a threshold on."""
    sums = dict.fromkeys(asdict(Counts()), 0)
    is_used = np.zeros(len(places), np.bool_)
    is_named = _is_known(places.names.speaker)
    for first, second, _ in kept_pairs(neighbors, threshold, is_mutual=is_mutual):
        one, other = places.rows[first], places.rows[second]
        is_used[first] = is_used[second] = True
        both = is_named[one["speaker"]] & is_named[other["speaker"]]
        is_same = one["speaker"] == other["speaker"]
        labeled, agreeing = _labels(places, first, second)
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
    return Counts(**{**sums, "segments": int(is_used.sum())})


def tally_neighbors(neighbors: Neighbors, places: Places, bin_width: float, *, is_mutual: bool) -> Tallies:
    """Count neighbors by their similarity."""
    sums: list[Ints] = []
    for queries, similarities, rows in neighbors.pieces(is_mutual=is_mutual):
        labeled, agreeing = _labels(places, queries[:, None], rows)
        counted = (
            tally(similarities, bin_width),
            tally(similarities.max(axis=1), bin_width),
            tally(similarities, bin_width, labeled),
            tally(similarities, bin_width, agreeing),
        )
        sums = [total + some for total, some in zip(sums, counted, strict=True)] if sums else list(counted)
    return Tallies(*sums)


def chance(places: Places) -> float:
    """How likely the labels of two labeled segments agree that are drawn blindly; NaN without labels."""
    takes = np.bincount(places.rows["label"], minlength=len(places.names.label))[_is_known(places.names.label)]
    total = takes.sum()
    return float((takes * (takes - 1)).sum() / (total * (total - 1))) if total > 1 else float("nan")


def _labels(places: Places, first: Ints, second: Ints) -> tuple[Bools, Bools]:
    """Whether both labels are known, and whether they are the same."""
    is_known = _is_known(places.names.label)
    one, other = places.rows["label"][first], places.rows["label"][second]
    known = is_known[one] & is_known[other]
    return known, known & (one == other)


def _is_known(names: list[str]) -> Bools:
    return np.array([bool(name) for name in names], np.bool_)
