"""Figures of a comparison: metrics with confidence intervals, DET curves, and learning curves."""

import math
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from earmark.evaluation.metrics import ErrorCurve
from earmark.evaluation.plots import det_plot
from earmark.evaluation.plots.figures import empty_figure, line_style, one_panel
from earmark.training.compare.columns import columns_of, is_cost, title_of
from earmark.training.compare.results import IDENTIFICATION, OPEN_SET, VERIFICATION, Curve
from earmark.training.compare.summary import Average, Summary

_TRIALS = 10_000
_PANELS = 4


def plots_of(summary: Summary, test: str, condition: str) -> dict[str, Figure]:
    """Make the figures of one condition of a test, by name: `dots` and, except for identification, `det`."""
    plots = {"dots": plot_dots(summary, test, condition)}
    if condition != IDENTIFICATION:
        plots["det"] = plot_det(summary, test, condition)
    return plots


def plot_dots(summary: Summary, test: str, condition: str) -> Figure:
    """Plot the metrics of all systems in one condition of a test, in one panel per metric.

    A panel has a row per system and back-end, with a dot per seed, and the confidence interval of the mean as a bar.
    """
    columns, names = columns_of(condition)
    rows = summary.of(test, condition)
    systems = list(dict.fromkeys(row.system for row in rows))
    backends = list(dict.fromkeys(row.backend for row in rows))
    shown = columns[:_PANELS]
    figure = empty_figure(2.2 + 2.3 * len(shown), 1.2 + 0.16 * len(systems) * (len(backends) + 1))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, shown, strict=True):
        unit = 1 if is_cost(column) else 100
        for row, numbers in rows.items():
            lane = (backends.index(row.backend) - (len(backends) - 1) / 2) * 0.8 / len(backends)
            _draw_average(axes, numbers[column], systems.index(row.system) + lane, backends.index(row.backend), unit)
        axes.set_title("\n".join(wrap(title_of(names[column], column), 24)), fontsize="small")
        axes.set(yticks=range(len(systems)), yticklabels=systems)
        low, high = axes.get_xlim()
        axes.set_xlim(max(low, -0.01 * unit), min(high, 1.01 * unit))
        if is_cost(column):  # fewer ticks leave space for three decimals
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


def plot_det(summary: Summary, test: str, condition: str) -> Figure:
    """Make a DET plot with one curve per system in one condition of a test.

    The curve is that of the system's best back-end, which has the lowest mean EER, and of its median seed.
    """
    rows = summary.of(test, condition)
    curves = {}
    for system in dict.fromkeys(row.system for row in rows):
        best = min((row for row in rows if row.system == system), key=lambda row: rows[row]["eer"].mean)
        curves[f"{system}, {best.backend}"] = to_error_curve(summary.curves[best])
    of = {OPEN_SET: "clips", VERIFICATION: "pairs"}.get(condition, "trials")
    return det_plot(curves, title=f"{test}, {condition}", of=of)


def to_error_curve(curve: Curve) -> ErrorCurve:
    """Convert false-acceptance and false-rejection rates to an error curve for a DET plot.

    A DET plot needs numbers of trials: 10,000 of each kind are assumed.
    """
    far, frr = curve
    return ErrorCurve(np.linspace(1, 0, len(far)), _TRIALS * np.array(far), _TRIALS * (1 - np.array(frr)))


def plot_learning(summary: Summary) -> Figure:
    """Plot the EER on validation clips over the training steps, with one line per run."""
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


def _draw_average(axes: Axes, average: Average, y: float, number: int, unit: int) -> None:
    if not average.values:
        return
    color, _ = line_style(number)
    margin = 0.0 if math.isnan(average.margin) else average.margin
    # Rates and costs are between 0 and 1; the interval of Student's t is clipped to that range.
    ends = np.clip([average.mean - margin, average.mean + margin], 0, 1)
    axes.plot(unit * ends, [y, y], "-", color=color, lw=1.2, alpha=0.5)
    axes.plot(unit * np.array(average.values), [y] * len(average.values), "o", color=color, ms=3, alpha=0.6, mew=0)
    axes.plot(unit * average.mean, y, "|", color=color, ms=9, mew=2)
