"""The DET curve: misses against false alarms, on axes where normal scores draw a straight line."""

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
    """Miss rate against false-alarm rate on normal-deviate axes. The dot on a line is its equal error rate.

    Args:
        curves: by name, at most 28 of them told apart by color and dashes.
        title: above the axes.
        of: what is accepted or rejected.
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
    # Lines of good scores pass below, those of poor ones above.
    is_good = np.median([equal_error_rate(curve) for curve in curves.values()]) < GOOD_EER
    axes.legend(framealpha=1, edgecolor="white", fontsize="small", loc="upper right" if is_good else "lower left")
    return figure


def normal_deviate(rates: Iterable[float]) -> Floats:
    """The standard normal value below which a share of the distribution lies; infinite at 0 and 1.

    >>> normal_deviate([0.5, 0.975]).round(2).tolist()
    [0.0, 1.96]
    """
    inverse = NormalDist().inv_cdf
    return np.array([inverse(rate) if 0 < rate < 1 else math.copysign(math.inf, rate - 0.5) for rate in rates])


def _det_line(curve: ErrorCurve) -> tuple[Floats, Floats]:
    """The corners of a curve as normal deviates, thinned to what a plot can show."""
    curve = corners(curve)
    low = 0.5 / max(curve.alarms[-1], curve.hits[-1])  # a rate of zero is drawn off the axes, not at infinity
    points = np.stack([curve.far, curve.frr]).clip(low, 1 - low)
    # Corners are far denser where both rates are large; evenly spaced along FAR - FRR in deviates looks the same.
    if points.shape[1] > POINTS_A_LINE:
        along = np.log(points[0] / (1 - points[0])) - np.log(points[1] / (1 - points[1]))
        wanted = np.linspace(along[0], along[-1], POINTS_A_LINE)
        points = points[:, np.unique(np.searchsorted(along, wanted).clip(max=along.size - 1))]
    return normal_deviate(points[0]), normal_deviate(points[1])
