"""Plot of the mean average precision by label, or by the frequency of labels."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from earmark.evaluation.plots.figures import line_style, one_panel, word_families

LabelPrecisions = Mapping[str, tuple[int, float]]
"""Number of segments and mean average precision, by label."""

MOST_LABELS = 60
_WIDEST = 2.0  # a dot covers labels whose numbers of segments differ by less than this factor


def average_precision_plot(systems: Mapping[str, LabelPrecisions], *, title: str = "") -> Figure:
    """Plot the mean average precision of each label, one dot per system; for many labels, over their frequency.

    Up to 60 labels have a row each, sorted by the MAP of the first system with the best at the top. Above 60, labels
    with similar numbers of segments share a dot, whose area grows with the number of segments.

    Args:
        systems: results for the same segments, by name of the system.
        title: title of the plot.
    """
    labels = {label for found in systems.values() for label in found}
    if len(labels) <= MOST_LABELS:
        figure, axes = one_panel(6.4, 1.5 + 0.19 * len(labels))
        _draw_labels(axes, systems)
    else:
        figure, axes = one_panel(6.4, 4.2)
        _draw_frequencies(axes, systems)
    axes.set_title(title)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(systems) > 1:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def _draw_labels(axes: Axes, systems: Mapping[str, LabelPrecisions]) -> None:
    first = next(iter(systems.values()))
    order = sorted(first, key=lambda label: first[label][1])
    for number, (name, found) in enumerate(systems.items()):
        color, _ = line_style(number)
        values = [100 * found[label][1] if label in found else np.nan for label in order]
        axes.plot(values, range(len(order)), "o", color=color, ms=4.5, mew=0, label=name)
    axes.set_yticks(
        range(len(order)), [f"{label}  ({first[label][0]})" for label in order], fontsize=8, family=word_families()
    )
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(-2, 102), ylim=(-0.7, len(order) - 0.3), xlabel="MAP (%)")
    axes.grid(color="0.92", lw=0.6)


def _draw_frequencies(axes: Axes, systems: Mapping[str, LabelPrecisions]) -> None:
    highest = 0.0
    for number, (name, found) in enumerate(systems.items()):
        tokens, values = (np.array(column, np.float64) for column in zip(*found.values(), strict=True))
        dots = []
        low = float(tokens.min())
        while low <= tokens.max():
            inside = (tokens >= low) & (tokens < low * _WIDEST)
            if inside.any():
                weights = tokens[inside]
                center = float(np.exp(np.average(np.log(weights), weights=weights)))
                dots.append((center, 100 * np.average(values[inside], weights=weights), weights.sum()))
            low *= _WIDEST
        x, y, size = np.array(dots).T
        color, dash = line_style(number)
        axes.plot(x, y, dash, color=color, lw=1.4, label=name)
        axes.scatter(x, y, 20 + 120 * size / size.max(), color=color, lw=0)
        highest = max(highest, float(y.max()))
    axes.set(xscale="log", xlabel="tokens of a label", ylabel="MAP (%)", ylim=(0, min(102, 1.15 * highest + 1)))
    # A small range may contain no power of ten, so ticks are at 2 and 5 too.
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="0.92", lw=0.6)
