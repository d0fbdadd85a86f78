"""Plots of precision and recall of each word, and of the differences between two systems."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from earmark.evaluation.plots.figures import COLORS, empty_figure, line_style
from earmark.evaluation.protocols.probe.rates import WordRates

Floats = NDArray[np.floating]

KINDS = ("precision", "recall")
_GAIN, _LOSS = COLORS[0], COLORS[1]


def per_word_plot(systems: Mapping[str, WordRates], *, title: str = "") -> Figure:
    """Plot precision and recall: one row per word, one dot per system, and bars of one standard deviation.

    The standard deviation is over repetitions. Words are sorted by the last system's recall, with the best at the top.

    Args:
        systems: rates of the same words, by name of the system; up to seven systems have different colors.
        title: title of the plot.
    """
    *_, last = systems.values()
    order = _order(last.recall)
    words = [last.words[index] for index in order]
    figure = empty_figure(8.4, _height(len(words)))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, KINDS, strict=True):
        lanes = 0.3 * (np.arange(len(systems)) - (len(systems) - 1) / 2) * min(1, 2.4 / len(systems))
        for number, (name, rates) in enumerate(systems.items()):
            color, _ = line_style(number)
            mean, sd = _moments(getattr(rates, kind)[:, _positions(rates.words, words)])
            y = np.arange(len(words)) + lanes[number]
            axes.hlines(y, 100 * (mean - sd).clip(0), 100 * (mean + sd).clip(max=1), color=color, lw=1, alpha=0.5)
            axes.plot(100 * mean, y, "o", color=color, ms=4, mew=0, label=name)
        _dress(axes, words, f"{kind} (%)")
        axes.set_xlim(-2, 102)
    panels[0].invert_yaxis()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title)
    return figure


def word_difference_plot(first: WordRates, second: WordRates, *, names: Sequence[str], title: str = "") -> Figure:
    """Plot the differences in precision and recall, second system minus first, and the number of test clips per word.

    Words are sorted by the difference in recall.

    Args:
        first: rates of the first system.
        second: rates of the second system for the same words.
        names: names of both systems.
        title: title of the plot.
    """
    gain = {
        kind: getattr(second, kind)[:, _positions(second.words, first.words)].mean(axis=0)
        - getattr(first, kind).mean(axis=0)
        for kind in KINDS
    }
    order = _order(gain["recall"][None])
    words = [first.words[index] for index in order]
    figure = empty_figure(8.4, _height(len(words)))
    panels = figure.subplots(1, 3, sharey=True, width_ratios=(3, 3, 1.2))
    limit = 100 * max(0.01, *(np.nanmax(np.abs(values), initial=0) for values in gain.values())) * 1.05
    y = np.arange(len(words))
    for axes, (kind, values) in zip(panels, gain.items(), strict=False):
        points = 100 * values[order]
        axes.barh(y, points, 0.62, color=np.where(points < 0, _LOSS, _GAIN))
        axes.axvline(0, color="0.3", lw=0.8)
        _dress(axes, words, f"difference in {kind} (points)")
        axes.set_xlim(-limit, limit)
    panels[2].barh(y, first.clips[order], 0.62, color="0.75")
    _dress(panels[2], words, "test clips")
    panels[0].invert_yaxis()
    ahead = [Patch(color=color, label=f"{name} is ahead") for name, color in zip(names, (_LOSS, _GAIN), strict=True)]
    figure.legend(handles=ahead, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(title)
    return figure


def _order(rates: Floats) -> NDArray[np.integer]:
    """Indices of words from the best to the worst; words without a rate come last."""
    return np.argsort(-np.nan_to_num(rates.mean(axis=0), nan=-np.inf), kind="stable")


def _positions(among: Sequence[str], words: Sequence[str]) -> list[int]:
    """Index in `among` of each of `words`."""
    return [among.index(word) for word in words]


def _moments(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation over repetitions; the standard deviation is 0 for one repetition."""
    mean = values.mean(axis=0)
    return mean, values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros_like(mean)


def _height(words: int) -> float:
    return 1.5 + 0.19 * words


def _dress(axes: Axes, words: Sequence[str], label: str) -> None:
    axes.set_yticks(range(len(words)), words, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label)
    axes.set_ylim(-0.7, len(words) - 0.3)
    axes.grid(axis="x", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    for upper, lower in pairwise(range(len(words))):
        axes.axhline((upper + lower) / 2, color="0.94", lw=0.5, zorder=0)
