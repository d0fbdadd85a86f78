"""Plot of embeddings in two dimensions, by principal components and by t-SNE (scikit-learn)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from earmark.core.vectors import unit
from earmark.evaluation.plots.figures import GREYS, empty_figure, word_colors

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

POINTS = 2000
PERPLEXITY = 30
IN_A_LEGEND = 14


def projection_plot(
    vectors: Floats, labels: Sequence[str], words: Sequence[str], *, title: str = "", seed: int = 0
) -> Figure:
    """Plot two projections of embeddings: principal components, which keep distances, and t-SNE, which keeps neighbors.

    Embeddings are scaled to unit length first, so that distances correspond to angles.

    Args:
        vectors: embeddings, shape (n, d); for more than 2,000 rows, choose some with `sampled`.
        labels: label of each row, shape (n,).
        words: labels that get a color; rows with other labels are gray.
        title: title of the plot.
        seed: seed of t-SNE.
    """
    rows = unit(np.asarray(vectors, np.float64))
    names = np.array(labels)
    figure = empty_figure(12, 5.9)
    left, right = figure.subplots(1, 2)
    components, shares = principal(rows)
    left.set(xlabel=f"first component ({shares[0]:.0%})", ylabel=f"second component ({shares[1]:.0%})")
    _scatter(left, components, names, words)
    left.set_title("principal components", loc="left", fontsize="medium")
    places = _neighbors(rows, seed)
    _scatter(right, places, names, words)
    right.set_title("t-SNE", loc="left", fontsize="medium")
    right.set(xlabel="distances between far groups mean nothing", xticks=[], yticks=[])
    _name_groups(right, places, names, words)
    handles, entries = left.get_legend_handles_labels()
    kept = [number for number, entry in enumerate(entries) if len(entries) <= IN_A_LEGEND or entry not in words]
    if kept:
        figure.legend(
            [handles[number] for number in kept],
            [entries[number] for number in kept],
            loc="outside right upper",
            frameon=False,
            fontsize="small",
            markerscale=2,
        )
    figure.suptitle(title)
    return figure


def sampled(count: int, rng: np.random.Generator, *, most: int = POINTS) -> Ints:
    """At most `most` random indices below `count`, ascending.

    >>> sampled(3, np.random.default_rng(0)).tolist()
    [0, 1, 2]
    """
    return np.arange(count) if count <= most else np.sort(rng.choice(count, most, replace=False))


def principal(rows: Floats) -> tuple[Floats, Floats]:
    """Coordinates on the first two principal components, shape (n, 2), and the share of variance of each component."""
    if not _spreads(rows):
        return np.zeros((len(rows), 2)), np.zeros(2)
    fitted = PCA(2, svd_solver="full").fit(rows)
    return fitted.transform(rows), fitted.explained_variance_ratio_


def _neighbors(rows: Floats, seed: int) -> Floats:
    """Project rows to two dimensions by t-SNE; return coordinates, shape (n, 2)."""
    if not _spreads(rows) or len(rows) < 4:
        return np.zeros((len(rows), 2))
    # On the first fifty components, t-SNE keeps the neighborhoods and is several times faster.
    if min(rows.shape) > 50:
        rows = PCA(50, svd_solver="full").fit_transform(rows)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    first = principal(rows)[0]
    initialization = first / max(first[:, 0].std(), 1e-12) * 1e-4  # the scale of scikit-learn's own initialization
    return TSNE(perplexity=perplexity, init=initialization.astype(np.float32), random_state=seed).fit_transform(rows)


def _spreads(rows: Floats) -> bool:
    """Whether the rows vary in two dimensions or more."""
    return min(rows.shape) > 1 and bool(np.ptp(rows, axis=0).any())


def _scatter(axes: Axes, places: Floats, names: NDArray[np.str_], words: Sequence[str]) -> None:
    others = [name for name in dict.fromkeys(names.tolist()) if name not in words]
    for number, name in enumerate(sorted(others)):
        x, y = places[names == name].T
        axes.scatter(x, y, s=7, marker="x", lw=0.7, color=GREYS[number % len(GREYS)], label=name, zorder=1)
    for word, color in word_colors(words).items():
        x, y = places[names == word].T
        axes.scatter(x, y, s=7, color=color, lw=0, alpha=0.8, label=word, zorder=2)
    axes.spines[["top", "right"]].set_visible(False)


def _name_groups(axes: Axes, places: Floats, names: NDArray[np.str_], words: Sequence[str]) -> None:
    """Write each word above the median of its points."""
    is_many = len(words) > IN_A_LEGEND
    for word in words:
        own = places[names == word]
        if len(own):
            axes.annotate(
                word,
                np.median(own, axis=0),
                xytext=(0, 10),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=6.5 if is_many else 8,
                weight="bold",
                zorder=3,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
