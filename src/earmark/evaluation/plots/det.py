"""DET curves: miss rate against false-alarm rate on normal-deviate axes."""

import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from earmark.evaluation.metrics import ErrorCurve, corners, equal_error_rate
from earmark.evaluation.plots.figures import line_style, one_panel

Floats = NDArray[np.floating]

GOOD_EER = 0.08
RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
POINTS_A_LINE = 600


def det_plot(curves: Mapping[str, ErrorCurve], *, title: str = "", of: str = "trials") -> Figure:
    """Plot miss rate against false-alarm rate on normal-deviate axes, with a dot at the equal error rate.

    Args:
        curves: curves by name; up to 28 curves have different styles.
        title: title of the plot.
        of: plural noun for the scored items, such as "trials".
    """
    figure, axes = one_panel(5.6, 5.4)
    for index, (name, curve) in enumerate(curves.items()):
        eer = equal_error_rate(curve)
        color, dash = line_style(index)
        axes.plot(*_det_line(curve), dash, color=color, lw=1.8, label=f"{name}  (EER {100 * eer:.1f} %)")
        if RATES[0] <= eer <= RATES[-1]:
            axes.plot(*[normal_deviate([eer])] * 2, "o", color=color, ms=5, mec="white", mew=0.8, zorder=3)
    ends = normal_deviate([RATES[0], RATES[-1]])
    ticks = normal_deviate(RATES)
    labels = [f"{100 * rate:g}" for rate in RATES]
    axes.plot(ends, ends, color="0.75", lw=0.8, zorder=0)
    axes.set(xlim=ends, ylim=ends, xticks=ticks, yticks=ticks, xticklabels=labels, yticklabels=labels, aspect="equal")
    axes.set(xlabel=f"false acceptances of {of} (%)", ylabel=f"false rejections of {of} (%)", title=title)
    axes.grid(color="0.9", lw=0.6)
    # Curves with low error rates leave the upper right free, all others the lower left.
    is_good = np.median([equal_error_rate(curve) for curve in curves.values()]) < GOOD_EER
    axes.legend(framealpha=1, edgecolor="white", fontsize="small", loc="upper right" if is_good else "lower left")
    return figure


def normal_deviate(rates: Iterable[float]) -> Floats:
    """Quantiles of the standard normal distribution; infinite at 0 and 1.

    >>> normal_deviate([0.5, 0.975]).round(2).tolist()
    [0.0, 1.96]
    """
    inverse = NormalDist().inv_cdf
    return np.array([inverse(rate) if 0 < rate < 1 else math.copysign(math.inf, rate - 0.5) for rate in rates])


def _det_line(curve: ErrorCurve) -> tuple[Floats, Floats]:
    """The corners of a curve as normal deviates, thinned to the resolution of a plot."""
    curve = corners(curve)
    low = 0.5 / max(curve.alarms[-1], curve.hits[-1])  # a rate of zero is drawn outside the axes, not at infinity
    points = np.stack([curve.far, curve.frr]).clip(low, 1 - low)
    # Corners are much denser where both rates are large; points evenly spaced along the curve look the same.
    if points.shape[1] > POINTS_A_LINE:
        along = np.log(points[0] / (1 - points[0])) - np.log(points[1] / (1 - points[1]))
        wanted = np.linspace(along[0], along[-1], POINTS_A_LINE)
        points = points[:, np.unique(np.searchsorted(along, wanted).clip(max=along.size - 1))]
    return normal_deviate(points[0]), normal_deviate(points[1])
