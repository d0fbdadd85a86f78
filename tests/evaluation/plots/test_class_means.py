from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import minmax_scale

from earmark.core.errors import InputError
from earmark.evaluation import plots


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    labels = [f"word{number}" for number in rng.integers(0, 38, 600)]
    return rng.normal(size=(600, 20)) * np.geomspace(0.01, 100, 20), labels


def test_columns_are_scaled_over_all_clips_before_the_means_are_taken(clips):
    vectors, labels = clips
    words, means = plots.class_means(vectors, labels)
    scaled = minmax_scale(vectors)
    for word, mean in zip(words, means, strict=True):
        np.testing.assert_allclose(mean, scaled[[label == word for label in labels]].mean(axis=0))


def test_the_dots_are_the_principal_components_of_the_means(clips):
    vectors, labels = clips
    figure: Any = plots.class_means_plot({"MFCC": vectors, "learned": vectors[:, :5]}, labels, title="labeled clips")
    for axes, features in zip(figure.axes, (vectors, vectors[:, :5]), strict=True):
        words, means = plots.class_means(features, labels)
        fitted = PCA(2).fit(means)
        np.testing.assert_allclose(np.abs(axes.get_lines()[0].get_xydata()), np.abs(fitted.transform(means)), atol=1e-9)
        assert axes.get_xlabel() == f"first component ({fitted.explained_variance_ratio_[0]:.0%})"
        places = {text.get_text(): text.xy for text in axes.texts}
        np.testing.assert_allclose([places[word] for word in words], axes.get_lines()[0].get_xydata())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["MFCC", "learned"]


def test_features_of_other_clips_are_refused(clips):
    vectors, labels = clips
    with pytest.raises(InputError, match=r"\(599, 20\) for 600 labels"):
        plots.class_means_plot({"learned": vectors[1:]}, labels)


def test_one_word_alone_is_refused():
    with pytest.raises(InputError, match="two words or more"):
        plots.class_means(np.ones((3, 2)), ["yes"] * 3)


def test_the_names_of_forty_words_hardly_overlap_and_stay_inside(clips):
    figure = plots.class_means_plot({"MFCC": clips[0]}, clips[1])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    touching = sum(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert touching <= 2
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 5 for box in boxes)


def test_constant_features_are_drawn():
    plots.class_means_plot({"flat": np.ones((4, 3))}, ["a", "a", "b", "b"])
