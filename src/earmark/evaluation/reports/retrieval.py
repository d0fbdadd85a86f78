"""Report of the retrieval of labeled segments."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from earmark.core.report import page, table
from earmark.evaluation.estimates import Estimate
from earmark.evaluation.protocols import retrieval
from earmark.evaluation.protocols.retrieval import METRICS, RANKINGS, Precisions


@dataclass(frozen=True)
class System:
    """Retrieval results of one encoder.

    Attributes:
        name: name of the encoder.
        fingerprint: fingerprint of the encoder's file.
        precisions: average precisions of the queries, by ranking.
        numbers: estimates by ranking, then by the keys of `METRICS`.
    """

    name: str
    fingerprint: str
    precisions: Mapping[str, Precisions]
    numbers: Mapping[str, Mapping[str, Estimate]]

    def queries(self, ranking: str) -> int:
        """Number of queries that have a right answer in a ranking."""
        return int(np.isfinite(self.precisions[ranking].ap).sum())

    @property
    def plotted_ranking(self) -> str:
        """The ranking that plots show: `across` if any query has a right answer by another speaker, else `all`."""
        return "across" if self.queries("across") else "all"

    def by_label(self, labels: Sequence[str]) -> dict[str, tuple[int, float]]:
        """Number of segments and MAP of each label in the plotted ranking."""
        return retrieval.by_label(self.precisions[self.plotted_ranking], labels)


COLUMNS = ("encoder", "compared with", ">queries", *(f">{name} (%)" for name in METRICS.values()))


def rows(systems: Sequence[System]) -> list[list[str]]:
    """Rows of a table, one per ranking and encoder; rankings in which no query has a right answer are left out."""
    return [
        [system.name, name, str(system.queries(ranking)), *(one.text() for one in system.numbers[ranking].values())]
        for ranking, name in RANKINGS.items()
        for system in systems
        if ranking in system.numbers and system.queries(ranking)
    ]


def markdown(systems: Sequence[System]) -> str:
    """Markdown table of `rows`."""
    return page(table(COLUMNS, rows(systems)))


def document(systems: Sequence[System], labels: Sequence[str]) -> dict[str, Any]:
    """Content of `results.json`: every metric of every ranking and encoder.

    Args:
        systems: results of the encoders.
        labels: one per segment.
    """
    return {"numbers": METRICS, "rankings": RANKINGS, "results": [_document(system, labels) for system in systems]}


def _document(system: System, labels: Sequence[str]) -> dict[str, Any]:
    rankings = {
        name: {
            "queries": system.queries(name),
            "depth": system.precisions[name].depth,
            **{key: asdict(estimate) for key, estimate in numbers.items()},
        }
        for name, numbers in system.numbers.items()
    }
    return {
        "encoder": {"name": system.name, "fingerprint": system.fingerprint},
        "rankings": rankings,
        "labels": {label: {"tokens": count, "map": value} for label, (count, value) in system.by_label(labels).items()},
    }
