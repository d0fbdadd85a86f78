"""Plot of the mean features of each word on two principal components."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.evaluation.plots.figures import empty_figure
from earmark.evaluation.plots.projection import principal

Floats = NDArray[np.floating]

_POINTS = 7.0  # size of the letters
_DIRECTIONS = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
_DISTANCES = (5.0, 9.0, 15.0, 22.0, 30.0)  # from the dot, in points


def class_means_plot(panels: Mapping[str, Floats], labels: Sequence[str], *, title: str = "") -> Figure:
    """Plot the mean features of each word on two principal components, one panel per kind of feature.

    Args:
        panels: features of the same labeled clips, each of shape (n, d), by name.
        labels: label of each clip, shape (n,).
        title: title of the plot.

    Raises:
        InputError: the numbers of rows and labels differ, or there are fewer than two words.
    """
    figure = empty_figure(5.6 * len(panels), 5.7)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    written = {}
    for axes, (name, vectors) in zip(grid, panels.items(), strict=True):
        words, means = class_means(vectors, labels)
        places, shares = principal(means)
        axes.plot(*places.T, "o", color="#0072B2", ms=4, mew=0)
        axes.set_title(name, loc="left", fontsize="medium")
        axes.set(xlabel=f"first component ({shares[0]:.0%})", ylabel=f"second component ({shares[1]:.0%})")
        axes.margins(0.09)
        axes.grid(color="0.93", lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        written[axes] = (words, places)
    figure.suptitle(title)
    figure.draw_without_rendering()  # computes the layout, in which words are placed
    for axes, (words, places) in written.items():
        _write_words(axes, words, places)
    return figure


def class_means(vectors: Floats, labels: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """Return the words, sorted, and the mean of the features of each word's clips, shape (c, d).

    Each column of the features is first scaled to 0 … 1; constant columns become 0.

    Args:
        vectors: features of labeled clips, shape (n, d).
        labels: label of each clip, shape (n,).

    Raises:
        InputError: the numbers of rows and labels differ, or there are fewer than two words.

    >>> words, means = class_means(np.array([[0.0, 5], [2, 5], [4, 5]]), ["no", "yes", "yes"])
    >>> words, means.tolist()
    (('no', 'yes'), [[0.0, 0.0], [0.75, 0.0]])
    """
    rows, names = np.asarray(vectors, np.float64), np.asarray(labels)
    if rows.ndim != 2 or len(rows) != len(names):
        raise InputError(f"features of shape {rows.shape} for {len(names)} labels; pass one row per label")
    words, word_ids = np.unique(names, return_inverse=True)
    if len(words) < 2:
        raise InputError("labels: class means need two words or more; add clips of another word")
    span = np.ptp(rows, axis=0)
    scaled = (rows - rows.min(axis=0)) / np.where(span > 0, span, 1)
    return tuple(words.tolist()), np.stack([scaled[word_ids == word].mean(axis=0) for word in range(len(words))])


def _write_words(axes: Axes, words: Sequence[str], places: Floats) -> None:
    """Write each word near its dot, at the place with the least overlap with dots and other words."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    pixel = 72 / figure.dpi  # in points
    dots = axes.transData.transform(places) * pixel
    inside = Bbox(axes.get_window_extent().get_points() * pixel)
    occupied = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in dots]
    # Words of dots with many neighbors are placed first, because all other words have room anyway.
    neighbors = (np.linalg.norm(dots[:, None] - dots, axis=2) < 30).sum(axis=1)
    for index in np.argsort(-neighbors, kind="stable"):
        text = axes.annotate(
            words[index],
            places[index],
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_POINTS,
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )
        drawn = text.get_window_extent()
        offset, box = _best(dots[index], drawn.width * pixel, drawn.height * pixel, occupied, inside)
        occupied.append(box)
        text.xyann = offset
        near = np.clip(dots[index], box.min, box.max)
        if np.linalg.norm(near - dots[index]) > _DISTANCES[1]:
            line = axes.transData.inverted().transform(np.stack([dots[index], near]) / pixel)
            axes.plot(*line.T, "-", color="0.6", lw=0.5, zorder=1)


def _best(
    dot: Floats, width: float, height: float, occupied: Sequence[Bbox], inside: Bbox
) -> tuple[tuple[float, float], Bbox]:
    """Find the place of a word near its dot with the least overlap; return its offset in points, and its box."""
    found: tuple[float, tuple[float, float], Bbox] | None = None
    for distance in _DISTANCES:
        for right, up in _DIRECTIONS:
            x, y = right * (distance + width / 2 * abs(right)), up * (distance + height / 2)
            box = Bbox.from_bounds(dot[0] + x - width / 2, dot[1] + y - height / 2, width, height)
            covered = sum(_common(box, other) for other in occupied)
            outside = width * height - _common(box, inside)
            cost = covered + outside + 0.2 * distance
            if found is None or cost < found[0]:
                found = (cost, (x, y), box)
    assert found is not None
    return found[1], found[2]


def _common(one: Bbox, other: Bbox) -> float:
    """Common area of two boxes."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)
