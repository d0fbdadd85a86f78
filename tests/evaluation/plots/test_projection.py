from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from earmark.core.vectors import unit
from earmark.evaluation import plots
from earmark.evaluation.plots.figures import GREYS, word_colors

WORDS = ("yes", "no", "go")


@pytest.fixture
def clouds():
    """Embeddings of three words and of impostors, in four groups that are far apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat([*WORDS, "impostor"], 25)
    corners = dict(zip([*WORDS, "impostor"], 5 * np.eye(4, 60), strict=True))
    return np.stack([corners[label] for label in labels]) + 0.3 * rng.normal(size=(100, 60)), labels.tolist()


def points_of(axes):
    """Positions of the points by text in the legend."""
    return {dots.get_label(): np.asarray(dots.get_offsets()) for dots in axes.collections}


def test_the_left_projection_has_the_principal_components(clouds, legend_of):
    vectors, labels = clouds
    figure = plots.projection_plot(vectors, labels, WORDS)
    left, _ = figure.axes
    fitted = PCA(2).fit(unit(vectors))
    expected = fitted.transform(unit(vectors))
    found = points_of(left)
    for label in set(labels):
        rows = expected[[one == label for one in labels]]
        np.testing.assert_allclose(np.abs(found[label]), np.abs(rows), atol=1e-6)
    assert left.get_xlabel() == f"first component ({fitted.explained_variance_ratio_[0]:.0%})"
    assert legend_of(figure.legends[0]) == ["impostor", *WORDS]


def test_the_right_projection_keeps_neighbors(clouds):
    vectors, labels = clouds
    figure: Any = plots.projection_plot(vectors, labels, WORDS)
    _, right = figure.axes
    groups = points_of(right)
    places = np.concatenate(list(groups.values()))
    names = np.repeat(list(groups), [len(group) for group in groups.values()])
    for place, name in zip(places, names, strict=True):
        nearest = np.argsort(np.linalg.norm(places - place, axis=1))[1:4]
        assert (names[nearest] == name).all()
    written = {text.get_text(): text.xy for text in right.texts}
    assert set(written) == set(WORDS)
    np.testing.assert_allclose(written["no"], np.median(groups["no"], axis=0))


def test_one_seed_gives_one_projection(clouds):
    vectors, labels = clouds
    one, other = (points_of(plots.projection_plot(vectors, labels, WORDS, seed=4).axes[1]) for _ in range(2))
    for label in one:
        np.testing.assert_array_equal(one[label], other[label])


def test_only_other_labels_are_gray(clouds):
    vectors, labels = clouds
    left, _ = plots.projection_plot(vectors, labels, WORDS).axes
    colors = {dots.get_label(): tuple(dots.get_facecolor()[0][:3]) for dots in left.collections}
    assert colors["impostor"] == (float(GREYS[0]),) * 3
    assert all(len(set(colors[word])) > 1 for word in WORDS)


@pytest.mark.parametrize("count", [2, 9, 10, 40])
def test_every_word_has_a_color_of_its_own(count):
    words = [f"word{number}" for number in range(count)]
    colors = word_colors(words)
    assert list(colors) == words
    assert len(set(colors.values())) == count


def test_many_words_are_named_in_the_projection_and_not_in_the_legend(legend_of):
    words = [f"word{number}" for number in range(20)]
    rng = np.random.default_rng(0)
    figure = plots.projection_plot(rng.normal(size=(63, 5)), [*words, "other"] * 3, words)
    assert legend_of(figure.legends[0]) == ["other"]
    assert {text.get_text() for text in figure.axes[1].texts} == set(words)


@pytest.mark.parametrize("vectors", [np.ones((6, 5)), np.eye(2), np.random.default_rng(0).normal(size=(8, 1))])
def test_constant_embeddings_are_drawn(vectors):
    figure = plots.projection_plot(vectors, ["a", "b"] * (len(vectors) // 2), ["a"])
    assert len(figure.axes) == 2


def test_a_sample_has_different_ascending_rows():
    rows = plots.sampled(5000, np.random.default_rng(0))
    assert len(rows) == 2000
    assert (np.diff(rows) > 0).all()
