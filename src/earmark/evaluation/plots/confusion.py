"""Plot of confusion matrices in percent."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from earmark.evaluation.confusion import Confusion
from earmark.evaluation.plots.figures import empty_figure

COLUMNS = 3
MANY = 16  # with more words, cells are smaller and have fewer numbers


def confusion_plot(panels: Mapping[str, Confusion], *, title: str = "") -> Figure:
    """Plot confusion matrices: rows are labels, columns are predictions, cells are in percent of the row's clips.

    Args:
        panels: matrices by name, three in a row.
        title: title of the plot.
    """
    across = min(COLUMNS, len(panels))
    down = math.ceil(len(panels) / across)
    rows = max(len(panel.rows) for panel in panels.values())
    columns = max(len(panel.columns) for panel in panels.values())
    is_many = max(rows, columns) > MANY
    cell, letter = (0.24, 0.05) if is_many else (0.36, 0.07)
    beside = 0.5 + letter * max(len(f"{word} (000)") for panel in panels.values() for word in panel.rows)
    below = 0.6 + letter * max(len(word) for panel in panels.values() for word in panel.columns)
    figure = empty_figure(across * (beside + columns * cell), 0.3 + down * (below + rows * cell))
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (name, panel) in zip(grid, panels.items(), strict=False):
        _draw(axes, panel, name, is_many=is_many)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def _draw(axes: Axes, panel: Confusion, name: str, *, is_many: bool) -> None:
    counts = np.array(panel.counts, float)
    clips = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.where(clips > 0, clips, 1)
    # A square-root scale of colors makes confusions of a few percent visible.
    axes.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, 0, 100), aspect="auto")
    font = 5 if is_many else 7
    for row, column in zip(*np.nonzero(percent.round() >= (2 if is_many else 1)), strict=True):
        value = percent[row, column]
        color = "white" if value > 40 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=font, color=color)
    axes.set_xticks(range(len(panel.columns)), panel.columns, rotation=90, fontsize=font + 1)
    rows = [f"{word} ({count:.0f})" for word, (count,) in zip(panel.rows, clips, strict=True)]
    axes.set_yticks(range(len(rows)), rows, fontsize=font + 1)
    axes.set_xticks(np.arange(0.5, len(panel.columns) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(rows) - 1), minor=True)
    axes.grid(which="minor", color="white", lw=0.5)
    axes.tick_params(which="both", length=0)
    axes.set(xlabel="prediction (%)", ylabel="label (clips)")
    axes.set_title(name, loc="left", fontsize="medium")
