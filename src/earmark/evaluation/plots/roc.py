"""ROC curves: hit rate against false-alarm rate on a logarithmic axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from earmark.evaluation.metrics import ErrorCurve, area_under_curve, corners
from earmark.evaluation.plots.figures import line_style, one_panel

LEAST = 0.001


def roc_plot(curves: Mapping[str, ErrorCurve], *, title: str = "", of: str = "trials") -> Figure:
    """Plot hit rate against false-alarm rates above 0.1 %; a gray line shows chance. Arguments as in `det_plot`."""
    figure, axes = one_panel(5.6, 4.8)
    for index, (name, curve) in enumerate(curves.items()):
        color, dash = line_style(index)
        label = f"{name}  (AUC {100 * area_under_curve(curve):.1f} %)"
        kept = corners(curve)
        # A false-alarm rate of zero is at minus infinity on a logarithmic axis; the line starts at the edge instead.
        far = np.maximum(kept.far, LEAST / 10)
        axes.plot(100 * far, 100 * (1 - kept.frr), dash, color=color, lw=1.8, label=label)
    chance = np.geomspace(LEAST, 1, 100)
    axes.plot(100 * chance, 100 * chance, color="0.75", lw=0.8, zorder=0)
    axes.set(xscale="log", xlim=(100 * LEAST, 100), ylim=(0, 100), title=title)
    ticks = [0.1, 1, 10, 100]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set(xlabel=f"false acceptances of {of} (%)", ylabel=f"right acceptances of {of} (%)")
    axes.grid(color="0.9", lw=0.6)
    axes.legend(framealpha=1, edgecolor="white", fontsize="small", loc="lower right")
    return figure
