"""The result of mining: numbers that describe the pairs, for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.training.mining.counts import Histograms, PairCounts
from earmark.training.mining.examples import Example
from earmark.training.mining.settings import MiningSettings
from earmark.training.mining.threshold import CoverageCurve


@dataclass(frozen=True, eq=False)
class MiningResult:
    """Numbers that describe the pairs that a run of mining has found.

    Attributes:
        out: folder of all files.
        encoder: name and fingerprint of the encoder.
        lists: name of the list of segments.
        settings: mining settings.
        counts: numbers of pairs.
        curve: coverage by threshold, with the chosen threshold.
        histograms: neighbors by similarity.
        examples: pairs for listening.
        segments: number of segments that were compared.
        recordings: number of recordings.
        speakers: number of known speakers.
        left_out: number of segments that were too long.
        not_drawn: number of segments that the sample left out.
        explained: share of the variance that the principal components keep.
        recall: share of true neighbors that were found; 1 for exact search.
        chance: probability of equal labels for a random pair; NaN without labels.
        has_list: whether pairs.txt was written; it is not if a path or speaker has spaces.
        seconds: duration of each stage of this run.
    """

    out: Path
    encoder: tuple[str, str]
    lists: str
    settings: MiningSettings
    counts: PairCounts
    curve: CoverageCurve
    histograms: Histograms
    examples: Sequence[Example]
    segments: int
    recordings: int
    speakers: int
    left_out: int
    not_drawn: int
    explained: float
    recall: float
    chance: float
    has_list: bool
    seconds: Mapping[str, float]

    @property
    def coverage(self) -> float:
        """Share of segments that have a neighbor with at least the chosen similarity threshold."""
        return float(self.curve.coverage[self.curve.chosen])
