"""Pictures of what was mined."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earmark.evaluation.plots.figures import COLORS, one_panel
from earmark.training.mining.counts import Tallies
from earmark.training.mining.threshold import Curve


def similarity_plot(tallies: Tallies, curve: Curve, bin_width: float) -> Figure:
    """How similar neighbors are: all that were found, and the nearest of each segment; the threshold.

    Args:
        tallies: by bin, from the lowest similarity up.
        curve: with the threshold that was chosen.
        bin_width: of similarity.
    """
    figure, axes = one_panel(6.4, 3.6)
    left = curve.thresholds[::-1]
    for counts, words, color in (
        (tallies.neighbors, "all neighbors", "0.75"),
        (tallies.nearest, "nearest neighbor", COLORS[0]),
    ):
        axes.bar(left, counts, bin_width, align="edge", color=color, lw=0, label=words)
    _mark(axes, curve)
    seen = np.flatnonzero(tallies.neighbors)
    axes.set(
        xlim=(left[seen[0]] - bin_width, min(1.0, left[seen[-1]]) + 2 * bin_width),
        xlabel="cosine",
        ylabel="segments",
    )
    _finish(figure, "upper right")
    return figure


def coverage_plot(tallies: Tallies, curve: Curve, wanted: float) -> Figure:
    """Which share of segments each threshold covers; and where labels are known, how many neighbors agree.

    Args:
        tallies: by bin, from the lowest similarity up.
        curve: coverage of each threshold.
        wanted: coverage.
    """
    figure, axes = one_panel(6.4, 3.6)
    axes.plot(curve.thresholds, 100 * curve.coverage, color=COLORS[0], label="segments with a neighbor")
    if tallies.labeled.any():
        axes.plot(
            curve.thresholds, 100 * tallies.purity_from(), "--", color=COLORS[1], label="neighbors of the same label"
        )
    axes.axhline(100 * wanted, color="0.6", lw=0.8, ls=":")
    _mark(axes, curve)
    seen = curve.thresholds[::-1][np.flatnonzero(tallies.nearest)]
    axes.set(
        xlim=(seen[0] - 0.02, seen[-1] + 0.02), ylim=(0, 102), xlabel="threshold of the cosine", ylabel="share (%)"
    )
    _finish(figure, "lower left")
    return figure


def _mark(axes: Axes, curve: Curve) -> None:
    axes.axvline(curve.threshold, color="black", lw=1, label=f"threshold {curve.threshold:g}")


def _finish(figure: Figure, free: Literal["upper right", "lower left"]) -> None:
    """The corner that is free is told: to look for it among hundreds of bars may take so long that Matplotlib warns."""
    axes = figure.axes[0]
    axes.grid(color="0.92", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc=free)
