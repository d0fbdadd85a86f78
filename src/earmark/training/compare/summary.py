"""Summary of a comparison: means and intervals over the seeds of each system."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t

from earmark.training.compare.results import Curve, Result
from earmark.training.compare.runs import Run

LEVEL = 0.95


@dataclass(frozen=True)
class Average:
    """Values of a metric for several seeds, with their mean and its confidence interval.

    Attributes:
        values: the metric of each seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the values; NaN without values."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval of the mean, by Student's t; NaN for fewer than two values."""
        count = len(self.values)
        if count < 2:
            return math.nan
        return float(t.ppf((1 + LEVEL) / 2, count - 1) * np.std(self.values, ddof=1) / math.sqrt(count))


@dataclass(frozen=True)
class Row:
    """Names of a row in the report's tables: the system, the test and its condition, and the back-end."""

    system: str
    test: str
    condition: str
    backend: str


@dataclass(frozen=True)
class Summary:
    """All metrics of a comparison, averaged over the seeds.

    Attributes:
        numbers: averages by row of the report's tables, then by key of the metric.
        curves: for each row, the error curve of the seed with the median error.
        learning: for each system, then for each seed, the steps of the validations and the EER after each.
    """

    numbers: dict[Row, dict[str, Average]]
    curves: dict[Row, Curve]
    learning: dict[str, tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]]

    @property
    def tests(self) -> list[tuple[str, str]]:
        """All pairs of a test and one of its conditions, in the order of the protocol."""
        return list(dict.fromkeys((row.test, row.condition) for row in self.numbers))

    def of(self, test: str, condition: str) -> dict[Row, dict[str, Average]]:
        """Select the rows of one condition of a test, with their averages by key of the metric."""
        return {row: numbers for row, numbers in self.numbers.items() if (row.test, row.condition) == (test, condition)}


def summarize(results: Mapping[Run, Sequence[Result]]) -> Summary:
    """Average the results of all runs of a system, for each system of a comparison.

    Args:
        results: results of each run; the order of the runs is that of the systems in the report.
    """
    found: dict[Row, list[Result]] = {}
    for run, own in results.items():
        for result in own:
            found.setdefault(Row(run.system, result.test, result.condition, result.backend), []).append(result)
    numbers = {
        row: {
            name: Average(tuple(value for result in seeds if (value := result.numbers[name]) is not None))
            for name in seeds[0].numbers
        }
        for row, seeds in found.items()
    }
    curves = {row: sorted(seeds, key=_error)[len(seeds) // 2].curve for row, seeds in found.items()}
    systems = dict.fromkeys(run.system for run in results)
    learning = {
        system: tuple(_learning(run.folder / "log.jsonl") for run in results if run.system == system)
        for system in systems
    }
    return Summary(numbers, curves, learning)


def _error(result: Result) -> float:
    """Return the error that defines the median seed: the EER, or for identification the rate of wrong classes."""
    numbers = result.numbers
    value = numbers["eer"] if "eer" in numbers else 1 - (numbers["top_1"] or 0)
    return math.inf if value is None else value


def _learning(log: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    measured = [(line["step"], line["eer"]) for line in lines if line.get("eer") is not None]
    return tuple(step for step, _ in measured), tuple(eer for _, eer in measured)
