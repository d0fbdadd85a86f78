"""Plot of histograms of scores."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from earmark.evaluation.plots.figures import COLORS, empty_figure

Floats = NDArray[np.floating]

BARS = 60


def score_plot(
    panels: Mapping[str, Mapping[str, Floats]],
    *,
    title: str = "",
    xlabel: str = "score",
    threshold: float | None = None,
) -> Figure:
    """Plot histograms of scores, each with area 1.

    Args:
        panels: scores by kind of trial, by name of the panel; kinds without scores are left out.
        title: title of the plot.
        xlabel: name of the score.
        threshold: threshold to draw as a vertical line; None for no line.
    """
    figure = empty_figure(6.4, 1.5 + 1.5 * len(panels))
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    # Outliers would compress all other scores into few bars, so they are counted in the outermost bars.
    every = [values for kinds in panels.values() for values in kinds.values() if values.size]
    low = min(np.quantile(values, 0.001, method="higher") for values in every)
    high = max(np.quantile(values, 0.999, method="lower") for values in every)
    edges = np.linspace(low, high + 1e-6, BARS + 1)
    for axes, (name, kinds) in zip(rows, panels.items(), strict=True):
        for (kind, values), color in zip(kinds.items(), COLORS, strict=False):
            if values.size:
                inside = values.clip(edges[0], edges[-1])
                axes.hist(inside, edges, density=True, histtype="stepfilled", color=color, alpha=0.25)
                axes.hist(inside, edges, density=True, histtype="step", color=color, lw=1.4, label=kind)
        if threshold is not None:
            axes.axvline(threshold, color="0.3", lw=1, ls="--", label="threshold")
        axes.set_title(name, loc="left", fontsize="small", pad=3)
        axes.set(yticks=[], ylabel="density")
        axes.spines[["top", "right"]].set_visible(False)
    rows[0].legend(frameon=False, fontsize="small")
    rows[-1].set_xlabel(xlabel)
    figure.suptitle(title)
    return figure
