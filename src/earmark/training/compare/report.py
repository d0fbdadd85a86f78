"""The report of a comparison: Markdown with tables, pictures beside it, and everything as JSON."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from earmark import __version__
from earmark.core.numbers import finite
from earmark.evaluation.metrics import ErrorCurve
from earmark.evaluation.plots import det_plot, save
from earmark.evaluation.plots.figures import empty_figure, line_style, one_panel
from earmark.evaluation.protocols import few_shot, identification, open_set, verification
from earmark.training.compare.protocol import Protocol
from earmark.training.compare.results import IDENTIFICATION, OPEN_SET, VERIFICATION
from earmark.training.compare.runs import Run
from earmark.training.compare.summary import LEVEL, Average, Place, Summary

SCHEMA_VERSION = 1
_TRIALS = 10_000
FEW_SHOT_COLUMNS = ("accuracy", "eer", "frr_at_far_10", "frr_at_far_2_5", "f1", "identification_5")
OPEN_SET_COLUMNS = (
    "target_accuracy",
    "non_target_accuracy_seen",
    "non_target_accuracy_unseen",
    "total_1_1",
    "total_11_1",
    "auc",
    "map",
)
# Of the other kinds of test, few-shot tests alone have several conditions.
_NUMBERS = {
    OPEN_SET: (OPEN_SET_COLUMNS, open_set.METRICS),
    IDENTIFICATION: (tuple(identification.METRICS), identification.METRICS),
    VERIFICATION: (tuple(verification.METRICS), verification.METRICS),
}


def write_report(
    summary: Summary, protocol: Protocol, runs: Sequence[Run], out: Path, *, command: Sequence[str] = ()
) -> Path:
    """Write ``report.md``, ``results.json`` and the pictures; returns the report's path."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [f"# {protocol.title}", "", *_how(runs, command), ""]
    for number, (test, condition) in enumerate(summary.tests, start=1):
        lines += [f"## {test}" if condition == OPEN_SET else f"## {test}: {condition}", ""]
        lines += _table(summary, test, condition)
        for kind, figure in _pictures(summary, test, condition).items():
            save(figure, out / f"{kind}-{number}.png")
            lines += ["", f"![{kind} of {test}, {condition}]({kind}-{number}.png)"]
        lines.append("")
    if any(steps for seeds in summary.learning.values() for steps, _ in seeds):
        save(_learning(summary), out / "learning.png")
        lines += ["## Learning", "", "EER on the validation clips after each checkpoint.", ""]
        lines.append("![learning](learning.png)")
    report = out / "report.md"
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_json(summary, protocol, runs, out / "results.json", command)
    return report


def columns_of(condition: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The numbers that a table shows, and what each is called."""
    return _NUMBERS.get(condition, (FEW_SHOT_COLUMNS, few_shot.METRICS))


def average_text(average: Average, *, percent: bool = True) -> str:
    """Percent: `92.2 ± 0.4`, or the number as it is: `0.428 ± 0.012`; `–` where there is none.

    >>> average_text(Average((0.5, 0.5))), average_text(Average((0.25,)), percent=False), average_text(Average(()))
    ('50.0 ± 0.0', '0.250', '–')
    """
    if math.isnan(average.mean):
        return "–"
    unit, places = (100, 1) if percent else (1, 3)
    mean = f"{unit * average.mean:.{places}f}"
    return mean if math.isnan(average.margin) else f"{mean} ± {unit * average.margin:.{places}f}"


def _how(runs: Sequence[Run], command: Sequence[str]) -> list[str]:
    seeds = sorted({run.seed for run in runs})
    steps = sorted({run.recipe.optimizer.steps for run in runs})
    chosen = sorted({run.recipe.choose for run in runs})
    lines = [
        f"{len({run.system for run in runs})} systems, {len(seeds)} seeds each, "
        f"{' or '.join(map(str, steps))} training steps. Mean over the seeds ± half the {100 * LEVEL:.0f} % "
        f"interval of that mean (Student's t). Of each run the {' or '.join(chosen)} checkpoint is judged"
        f"{'; what is best, validation clips say, never a test' * ('best' in chosen)}."
    ]
    return [*lines, "", f"    {shlex.join(command)}"] if command else lines


def _table(summary: Summary, test: str, condition: str) -> list[str]:
    columns, names = columns_of(condition)
    rows = summary.of(test, condition)
    lines = [
        _row(["system", "back-end", *(_title(names[column], column) for column in columns)]),
        _row(["---", "---", *["---:"] * len(columns)]),
    ]
    for place, numbers in rows.items():
        cells = [average_text(numbers[column], percent=not _is_cost(column)) for column in columns]
        lines.append(_row([place.system, place.backend, *cells]))
    return lines


def _is_cost(column: str) -> bool:
    """Whether a number is no share of anything, and so stands there as it is."""
    return column.startswith("min_dcf")


def _title(name: str, column: str) -> str:
    return name if _is_cost(column) else f"{name} (%)"


def _pictures(summary: Summary, test: str, condition: str) -> dict[str, Figure]:
    pictures = {"dots": _dots(summary, test, condition)}
    if condition != IDENTIFICATION:
        pictures["det"] = _det(summary, test, condition)
    return pictures


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _dots(summary: Summary, test: str, condition: str) -> Figure:
    """A panel a number: each system and back-end a line, a dot a seed, a bar the interval of the mean."""
    columns, names = columns_of(condition)
    rows = summary.of(test, condition)
    systems = list(dict.fromkeys(place.system for place in rows))
    backends = list(dict.fromkeys(place.backend for place in rows))
    shown = columns[:4]
    figure = empty_figure(2.2 + 2.3 * len(shown), 1.2 + 0.16 * len(systems) * (len(backends) + 1))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, shown, strict=True):
        for place, numbers in rows.items():
            lane = (backends.index(place.backend) - (len(backends) - 1) / 2) * 0.8 / len(backends)
            y, unit = systems.index(place.system) + lane, 1 if _is_cost(column) else 100
            _draw_average(axes, numbers[column], y, backends.index(place.backend), unit)
        axes.set_title("\n".join(wrap(_title(names[column], column), 24)), fontsize="small")
        axes.set(yticks=range(len(systems)), yticklabels=systems)
        low, high = axes.get_xlim()
        unit = 1 if _is_cost(column) else 100
        axes.set_xlim(max(low, -0.01 * unit), min(high, 1.01 * unit))
        if _is_cost(column):  # their three decimals need the room
            axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", color="0.9", lw=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        for edge in range(1, len(systems)):
            axes.axhline(edge - 0.5, color="0.93", lw=0.6, zorder=0)
    panels[0].invert_yaxis()
    handles = [Line2D([], [], color=line_style(number)[0], lw=1.6, label=name) for number, name in enumerate(backends)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    return figure


def _draw_average(axes: Axes, average: Average, y: float, number: int, unit: int) -> None:
    if not average.values:
        return
    color, _ = line_style(number)
    margin = 0.0 if math.isnan(average.margin) else average.margin
    # A rate cannot leave 0 to 100 %, nor a cost 0 to 1, though an interval of Student's t can.
    ends = np.clip([average.mean - margin, average.mean + margin], 0, 1)
    axes.plot(unit * ends, [y, y], "-", color=color, lw=1.2, alpha=0.5)
    axes.plot(unit * np.array(average.values), [y] * len(average.values), "o", color=color, ms=3, alpha=0.6, mew=0)
    axes.plot(unit * average.mean, y, "|", color=color, ms=9, mew=2)


def _det(summary: Summary, test: str, condition: str) -> Figure:
    """The error curve of each system's middle seed, under the back-end with the lowest mean EER."""
    rows = summary.of(test, condition)
    curves = {}
    for system in dict.fromkeys(place.system for place in rows):
        best = min((place for place in rows if place.system == system), key=lambda place: rows[place]["eer"].mean)
        curves[f"{system}, {best.backend}"] = _curve(*summary.curves[best])
    of = {OPEN_SET: "clips", VERIFICATION: "pairs"}.get(condition, "trials")
    return det_plot(curves, title=f"{test}, {condition}", of=of)


def _curve(far: Sequence[float], frr: Sequence[float]) -> ErrorCurve:
    # As if of so many trials of each kind: a plot draws no rate that is less than half a trial.
    return ErrorCurve(np.linspace(1, 0, len(far)), _TRIALS * np.array(far), _TRIALS * (1 - np.array(frr)))


def _learning(summary: Summary) -> Figure:
    figure, axes = one_panel(6.4, 4.2)
    for number, (system, seeds) in enumerate(summary.learning.items()):
        color, dash = line_style(number)
        for seed, (steps, eers) in enumerate(seeds):
            axes.plot(steps, 100 * np.array(eers), dash, color=color, lw=1.2, alpha=0.8, label=None if seed else system)
    axes.set(xlabel="step", ylabel="EER on validation clips (%)")
    axes.grid(color="0.9", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    return figure


def _write_json(summary: Summary, protocol: Protocol, runs: Sequence[Run], path: Path, command: Sequence[str]) -> None:
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "comparison",
        "earmark": __version__,
        "command": shlex.join(command),
        "protocol": protocol.title,
        "seeds": sorted({run.seed for run in runs}),
        "results": [_json_row(place, numbers) for place, numbers in summary.numbers.items()],
        "learning": summary.learning,
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _json_row(place: Place, numbers: Mapping[str, Average]) -> dict[str, object]:
    return vars(place) | {
        "numbers": {
            name: {"mean": finite(average.mean), "margin": finite(average.margin), "seeds": average.values}
            for name, average in numbers.items()
        }
    }
