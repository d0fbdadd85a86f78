"""Report of a few-label probe."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from earmark.core.report import page, table
from earmark.evaluation.protocols.probe import METRICS, ProbeResult

COLUMNS = ("labels", *(f">{name} (%)" for name in METRICS.values()))
LEGEND = (
    "Mean ± standard deviation over the repetitions; in parentheses the 95 % interval of the mean over test speakers."
)


def rows(results: Sequence[ProbeResult]) -> list[list[str]]:
    """Rows of a table, one per number of labels."""
    return [[result.name, *(result.numbers[key].text() for key in METRICS)] for result in results]


def markdown(results: Sequence[ProbeResult], *, system: str) -> str:
    """Markdown table with one row per number of labels, followed by a table of words for each number of labels.

    Args:
        results: from `compute_metrics`.
        system: name of the encoder and of the classifier.
    """
    totals = ([name, system, *cells] for name, *cells in rows(results))
    return page(table([COLUMNS[0], "system", *COLUMNS[1:]], totals), LEGEND, *map(_words, results))


def document(results: Sequence[ProbeResult]) -> dict[str, Any]:
    """Content of `results.json`: every metric, as fractions."""
    return {"numbers": METRICS, "results": [{"name": result.name, **asdict(result)} for result in results]}


def _words(result: ProbeResult) -> str:
    columns = [f"word, {result.name}", ">precision (%)", ">recall (%)", ">test clips"]
    lines = ([word, one.precision.text(), one.recall.text(), f"{one.clips:g}"] for word, one in result.words.items())
    return table(columns, lines)
