"""Plots of the similarities of nearest neighbors, and of the share of segments that have a neighbor."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earmark.evaluation.plots.figures import COLORS, one_panel
from earmark.training.mining.counts import Histograms
from earmark.training.mining.threshold import CoverageCurve


def similarity_plot(histograms: Histograms, curve: CoverageCurve, bin_width: float) -> Figure:
    """Plot histograms of the similarities of all neighbors and of nearest neighbors, with the threshold.

    Args:
        histograms: histograms of the similarities.
        curve: coverage curve with the chosen threshold.
        bin_width: width of a bin of the histograms.
    """
    figure, axes = one_panel(6.4, 3.6)
    left = curve.thresholds[::-1]
    for counts, words, color in (
        (histograms.neighbors, "all neighbors", "0.75"),
        (histograms.nearest, "nearest neighbor", COLORS[0]),
    ):
        axes.bar(left, counts, bin_width, align="edge", color=color, lw=0, label=words)
    _mark_threshold(axes, curve)
    seen = np.flatnonzero(histograms.neighbors)
    axes.set(
        xlim=(left[seen[0]] - bin_width, min(1.0, left[seen[-1]]) + 2 * bin_width),
        xlabel="cosine",
        ylabel="segments",
    )
    _finish(figure, "upper right")
    return figure


def coverage_plot(histograms: Histograms, curve: CoverageCurve, wanted: float) -> Figure:
    """Plot the coverage, which is the share of segments with a neighbor, over the similarity threshold.

    If there are labels, the share of neighbors with the same label is plotted, too.

    Args:
        histograms: histograms of the similarities.
        curve: coverage by threshold.
        wanted: the coverage that the settings ask for, drawn as a line.
    """
    figure, axes = one_panel(6.4, 3.6)
    axes.plot(curve.thresholds, 100 * curve.coverage, color=COLORS[0], label="segments with a neighbor")
    if histograms.labeled.any():
        purity = 100 * histograms.purity_from()
        axes.plot(curve.thresholds, purity, "--", color=COLORS[1], label="neighbors of the same label")
    axes.axhline(100 * wanted, color="0.6", lw=0.8, ls=":")
    _mark_threshold(axes, curve)
    seen = curve.thresholds[::-1][np.flatnonzero(histograms.nearest)]
    axes.set(
        xlim=(seen[0] - 0.02, seen[-1] + 0.02), ylim=(0, 102), xlabel="threshold of the cosine", ylabel="share (%)"
    )
    _finish(figure, "lower left")
    return figure


def _mark_threshold(axes: Axes, curve: CoverageCurve) -> None:
    axes.axvline(curve.threshold, color="black", lw=1, label=f"threshold {curve.threshold:g}")


def _finish(figure: Figure, corner: Literal["upper right", "lower left"]) -> None:
    """Add a grid and a legend in a corner of the figure.

    The corner is given, because Matplotlib is slow to choose one for a plot with many bars, and warns about it.
    """
    axes = figure.axes[0]
    axes.grid(color="0.92", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc=corner)
