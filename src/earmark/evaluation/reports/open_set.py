"""Report of an open-set evaluation."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from earmark.core.report import page, table
from earmark.evaluation.protocols.open_set import METRICS, OpenSetResult

SHOWN = (
    "target_accuracy",
    "non_target_accuracy_seen",
    "non_target_accuracy_unseen",
    "total_1_1",
    "total_11_1",
    "auc",
    "map",
    "eer",
)
"""Keys of `METRICS` that the Markdown table shows."""

COLUMNS = ("metric", ">%")


def rows(result: OpenSetResult) -> list[list[str]]:
    """Rows of a table, one per metric."""
    return [[name, result.numbers[key].text()] for key, name in METRICS.items()]


def markdown(systems: Mapping[str, OpenSetResult]) -> str:
    """Markdown table with one row per system, in percent, with 95 % intervals over test speakers if they are known."""
    lines = [
        [system, result.backend, result.unknown, *(result.numbers[key].text() for key in SHOWN)]
        for system, result in systems.items()
    ]
    return page(table(["system", "back-end", "unknown by", *(f">{METRICS[key]} (%)" for key in SHOWN)], lines))


def document(result: OpenSetResult) -> dict[str, Any]:
    """Content of `results.json`: every metric, as fractions."""
    svm = result.svm and {**result.svm.model_dump(), "gamma": result.svm.gamma or "scale"}
    return {"numbers": METRICS, "result": asdict(result) | {"svm": svm}}
