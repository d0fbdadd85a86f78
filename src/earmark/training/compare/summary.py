"""What the runs of a comparison say together: each system's mean over its seeds, and how sure it is."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t

from earmark.training.compare.results import Verdict
from earmark.training.compare.runs import Run

LEVEL = 0.95


@dataclass(frozen=True)
class Average:
    """A number over seeds.

    Attributes:
        values: one a seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean; NaN where there is no number."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval of the mean, by Student's t; NaN for one seed."""
        count = len(self.values)
        if count < 2:
            return math.nan
        return float(t.ppf((1 + LEVEL) / 2, count - 1) * np.std(self.values, ddof=1) / math.sqrt(count))


@dataclass(frozen=True)
class Place:
    """Where a number was measured: which system, test, condition and back-end."""

    system: str
    test: str
    condition: str
    backend: str


@dataclass(frozen=True)
class Summary:
    """All numbers of a comparison.

    Attributes:
        numbers: by place, then by name.
        curves: the error curve of each place's middle seed: false-acceptance and false-rejection rates.
        learning: by system, for each seed the steps of its validations and the EER at each.
    """

    numbers: dict[Place, dict[str, Average]]
    curves: dict[Place, tuple[tuple[float, ...], tuple[float, ...]]]
    learning: dict[str, tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]]

    @property
    def tests(self) -> list[tuple[str, str]]:
        """Every test and condition, in their order."""
        return list(dict.fromkeys((place.test, place.condition) for place in self.numbers))

    def of(self, test: str, condition: str) -> dict[Place, dict[str, Average]]:
        """The numbers of one condition of one test."""
        return {
            place: numbers
            for place, numbers in self.numbers.items()
            if (place.test, place.condition) == (test, condition)
        }


def summarize(judged: Mapping[Run, Sequence[Verdict]]) -> Summary:
    """Average the verdicts of each system's runs.

    Args:
        judged: the verdicts of each run, the runs in the order in which the report should name the systems.
    """
    found: dict[Place, list[Verdict]] = {}
    for run, verdicts in judged.items():
        for verdict in verdicts:
            place = Place(run.system, verdict.test, verdict.condition, verdict.backend)
            found.setdefault(place, []).append(verdict)
    numbers = {
        place: {
            name: Average(tuple(value for verdict in verdicts if (value := verdict.numbers[name]) is not None))
            for name in verdicts[0].numbers
        }
        for place, verdicts in found.items()
    }
    middle = {place: sorted(verdicts, key=_error)[len(verdicts) // 2] for place, verdicts in found.items()}
    systems = dict.fromkeys(run.system for run in judged)
    learning = {
        system: tuple(_learning(run.folder / "log.jsonl") for run in judged if run.system == system)
        for system in systems
    }
    return Summary(numbers, {place: verdict.curve for place, verdict in middle.items()}, learning)


def _error(verdict: Verdict) -> float:
    """What runs are ordered by: the EER; where nothing is accepted or rejected, how often the best class is wrong."""
    numbers = verdict.numbers
    value = numbers["eer"] if "eer" in numbers else 1 - (numbers["top_1"] or 0)
    return math.inf if value is None else value


def _learning(log: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    measured = [(line["step"], line["eer"]) for line in lines if "eer" in line]
    return tuple(step for step, _ in measured), tuple(eer for _, eer in measured)
