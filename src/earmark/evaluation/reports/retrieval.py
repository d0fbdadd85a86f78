"""What an evaluation of labeled segments leaves behind: `results.json` for machines, a Markdown table for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earmark.evaluation.protocols import retrieval
from earmark.evaluation.protocols.open_set import Estimate
from earmark.evaluation.protocols.retrieval import METRICS, RANKINGS, Precisions
from earmark.evaluation.reports.spotting import estimate_text, heading, table_row, write_document


@dataclass(frozen=True)
class System:
    """What was measured of one encoder.

    Attributes:
        name: of the encoder.
        fingerprint: of its file.
        precisions: by ranking, of each query.
        numbers: by ranking, then by the keys of `retrieval.METRICS`.
    """

    name: str
    fingerprint: str
    precisions: Mapping[str, Precisions]
    numbers: Mapping[str, Mapping[str, Estimate]]

    def queries(self, ranking: str) -> int:
        """How many queries have a right answer."""
        return int(np.isfinite(self.precisions[ranking].ap).sum())


COLUMNS = ("encoder", "compared with", "queries", *(f"{words} (%)" for words in METRICS.values()))
"""Heads of the columns of `rows`."""


def rows(systems: Sequence[System]) -> list[list[str]]:
    """A row for each encoder and ranking; rankings in which no query has a right answer are left out."""
    return [
        [system.name, words, str(system.queries(ranking)), *map(estimate_text, system.numbers[ranking].values())]
        for ranking, words in RANKINGS.items()
        for system in systems
        if ranking in system.numbers and system.queries(ranking)
    ]


def table(systems: Sequence[System]) -> str:
    """A Markdown table of `rows`; ends in a line break."""
    lines = [table_row(COLUMNS), table_row(["---", "---", *["---:"] * (len(COLUMNS) - 2)])]
    return "\n".join([*lines, *map(table_row, rows(systems))]) + "\n"


def write_results(
    path: Path,
    systems: Sequence[System],
    labels: Sequence[str],
    *,
    command: Sequence[str],
    lists: str,
    about: Mapping[str, Any],
) -> None:
    """Write `results.json`: a list of one entry an encoder; NaN becomes null.

    Args:
        path: of the file.
        systems: what was measured.
        labels: one per segment.
        command: the words of the command line.
        lists: name of the list or manifest.
        about: what else was chosen or counted.
    """
    first = systems[0]
    document = {
        **heading("map", command, first.name, first.fingerprint, lists),
        **about,
        "numbers": METRICS,
        "rankings": RANKINGS,
        "results": [
            {
                "encoder": {"name": system.name, "fingerprint": system.fingerprint},
                "rankings": {
                    name: {
                        "queries": system.queries(name),
                        "depth": system.precisions[name].depth,
                        **{key: asdict(value) for key, value in numbers.items()},
                    }
                    for name, numbers in system.numbers.items()
                },
                "labels": {
                    label: {"tokens": tokens, "map": value}
                    for label, (tokens, value) in retrieval.by_label(shown(system), labels).items()
                },
            }
            for system in systems
        ],
    }
    write_document(path, document)


def shown_ranking(system: System) -> str:
    """Which ranking pictures show: that of other speakers, or where there are none, of all others."""
    return "across" if system.queries("across") else "all"


def shown(system: System) -> Precisions:
    """The precisions that pictures show."""
    return system.precisions[shown_ranking(system)]
