"""Two pictures of scores: the DET curve and the histogram. Matplotlib figures without global state."""

import math
from collections.abc import Iterable
from pathlib import Path
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from earmark.evaluation.few_shot import Scored, ScoredPair
from earmark.evaluation.metrics import ErrorCurve, corners, equal_error_rate, error_curve

Floats = NDArray[np.floating]

# Okabe & Ito's colours, told apart by colour-blind readers; the yellow is too pale for a line and left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
POINTS_A_LINE = 600


def det_plot(scored: Scored, *, title: str = "") -> Figure:
    """Miss rate against false-alarm rate on normal-deviate axes, one line a condition.

    The trials of a condition's lists are pooled. On these axes scores of two normal distributions draw a
    straight line. The dot is the equal error rate.

    Args:
        scored: scores by condition, at most 28 of them told apart by colour and dashes.
        title: above the axes.
    """
    figure, axes = _figure(5.6, 5.4)
    for index, (name, pairs) in enumerate(scored.items()):
        curve = _pooled(pairs)
        eer = equal_error_rate(curve)
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
        axes.plot(*_det_line(curve), dash, color=colour, lw=1.8, label=f"{name}  (EER {100 * eer:.1f} %)")
        if RATES[0] <= eer <= RATES[-1]:
            axes.plot(*[normal_deviate([eer])] * 2, "o", color=colour, ms=5, mec="white", mew=0.8, zorder=3)
    ends = normal_deviate([RATES[0], RATES[-1]])
    ticks = normal_deviate(RATES)
    labels = [f"{100 * rate:g}" for rate in RATES]
    axes.plot(ends, ends, color="0.75", lw=0.8, zorder=0)
    axes.set(xlim=ends, ylim=ends, xticks=ticks, yticks=ticks, xticklabels=labels, yticklabels=labels, aspect="equal")
    axes.set(xlabel="false acceptances of trials (%)", ylabel="false rejections of trials (%)", title=title)
    axes.grid(color="0.9", lw=0.6)
    axes.legend(frameon=False, fontsize="small", loc="upper right")
    return figure


def score_plot(scored: Scored, *, title: str = "") -> Figure:
    """Histograms of the scores, one panel a condition: the right keyword, another keyword, impostor clips.

    Each kind of trial has area one.
    """
    figure = Figure(figsize=(6.4, 1.1 + 1.5 * len(scored)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(scored), 1, sharex=True, squeeze=False)[:, 0]
    every = np.concatenate([pair.scores.ravel() for pairs in scored.values() for pair in pairs])
    edges = np.linspace(every.min(), every.max() + 1e-6, 81)
    for axes, (name, pairs) in zip(panels, scored.items(), strict=True):
        for kind, colour, values in zip(("right keyword", "another keyword", "impostor clip"), COLOURS, _kinds(pairs),
                                        strict=False):  # fmt: skip
            if values.size:
                axes.hist(values, edges, density=True, histtype="stepfilled", color=colour, alpha=0.25)
                axes.hist(values, edges, density=True, histtype="step", color=colour, lw=1.4, label=kind)
        axes.set_title(name, loc="left", fontsize="small", pad=3)
        axes.set(yticks=[], ylabel="density")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize="small")
    panels[-1].set_xlabel("score")
    figure.suptitle(title)
    return figure


def save(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write a figure; the suffix says the format (.png, .svg, .pdf)."""
    figure.savefig(path, dpi=dpi)


def normal_deviate(rates: Iterable[float]) -> Floats:
    """The standard normal value below which a share of the distribution lies; infinite at 0 and 1.

    >>> normal_deviate([0.5, 0.975]).round(2).tolist()
    [0.0, 1.96]
    """
    inverse = NormalDist().inv_cdf
    return np.array([inverse(rate) if 0 < rate < 1 else math.copysign(math.inf, rate - 0.5) for rate in rates])


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _pooled(pairs: tuple[ScoredPair, ...]) -> ErrorCurve:
    scores = np.concatenate([pair.scores.ravel() for pair in pairs])
    return error_curve(scores, np.concatenate([pair.positive.ravel() for pair in pairs]))


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


def _kinds(pairs: tuple[ScoredPair, ...]) -> tuple[Floats, Floats, Floats]:
    right = [pair.scores[pair.positive] for pair in pairs]
    other = [pair.scores[(pair.targets >= 0)[:, None] & ~pair.positive] for pair in pairs]
    impostor = [pair.scores[pair.targets < 0].ravel() for pair in pairs]
    return np.concatenate(right), np.concatenate(other), np.concatenate(impostor)
