from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from earmark.evaluation import plots
from earmark.evaluation.plots.figures import COLORS
from earmark.evaluation.protocols.probe.rates import WordRates

WORDS = ("yes", "no", "go")


def rates(recall, *, words=WORDS, clips=None):
    recall = np.atleast_2d(np.array(recall, float))
    return WordRates(tuple(words), recall / 2, recall, np.array(clips or [10.0] * len(words)))


def words_of(axes):
    return [tick.get_text() for tick in axes.get_yticklabels()]


def dots_of(axes):
    return {line.get_label(): line.get_data() for line in axes.get_lines() if line.get_marker() == "o"}


def test_each_system_has_one_dot_per_word_in_the_order_of_the_last_recall(legend_of):
    figure = plots.per_word_plot({"MFCC": rates([0.2, 0.3, 0.4]), "learned": rates([0.5, 0.9, 0.7])}, title="both")
    precision, recall = figure.axes
    assert words_of(precision) == ["no", "go", "yes"]
    np.testing.assert_allclose(dots_of(recall)["learned"][0], [90, 70, 50])
    np.testing.assert_allclose(dots_of(recall)["MFCC"][0], [30, 40, 20])
    np.testing.assert_allclose(dots_of(precision)["MFCC"][0], [15, 20, 10])
    assert (precision.get_xlabel(), recall.get_xlabel()) == ("precision (%)", "recall (%)")
    assert legend_of(figure.legends[0]) == ["MFCC", "learned"]


def test_words_are_matched_by_name():
    turned = rates([0.4, 0.3, 0.2], words=WORDS[::-1])
    _, recall = plots.per_word_plot({"a": turned, "b": rates([0.2, 0.3, 0.4])}).axes
    np.testing.assert_allclose(dots_of(recall)["a"][0], dots_of(recall)["b"][0])
    figure: Any = plots.word_difference_plot(turned, rates([0.2, 0.3, 0.4]), names=("a", "b"))
    difference, *_ = figure.axes
    assert [bar.get_width() for bar in difference.patches] == pytest.approx([0, 0, 0])


def test_bars_reach_one_standard_deviation_over_the_repetitions():
    figure: Any = plots.per_word_plot({"": rates([[0.4, 0.2, 0.1], [0.6, 0.2, 0.1]])})
    _, recall = figure.axes
    (best, *_) = recall.collections[0].get_segments()
    np.testing.assert_allclose(best[:, 0], 50 + np.array([-1, 1]) * 100 * np.std([0.4, 0.6], ddof=1))


def test_differences_are_in_descending_order_beside_the_clips(legend_of):
    figure: Any = plots.word_difference_plot(
        rates([0.2, 0.5, 0.5], clips=[7, 8, 9]), rates([0.6, 0.4, 0.5]), names=("MFCC", "learned")
    )
    precision, recall, clips = figure.axes
    assert words_of(precision) == ["yes", "go", "no"]
    assert [bar.get_width() for bar in recall.patches] == pytest.approx([40, 0, -10])
    assert [bar.get_width() for bar in precision.patches] == pytest.approx([20, 0, -5])
    assert [bar.get_width() for bar in clips.patches] == [7, 9, 8]
    assert recall.get_xlim() == precision.get_xlim() == pytest.approx((-42, 42))
    assert legend_of(figure.legends[0]) == ["MFCC is ahead", "learned is ahead"]
    assert [bar.get_facecolor() == recall.patches[0].get_facecolor() for bar in recall.patches] == [True, True, False]
    assert len(set(COLORS)) == len(COLORS)


def test_a_word_without_clips_is_last_and_has_no_dot():
    precision, recall = plots.per_word_plot({"one": rates([np.nan, 0.1, 0.2])}).axes
    assert words_of(precision) == ["go", "no", "yes"]
    assert np.isnan(dots_of(recall)["one"][0][-1])


@pytest.mark.parametrize("draw", ["both", "difference"])
def test_labels_of_forty_words_do_not_overlap(draw):
    words = [f"increase_volume_{number}" for number in range(40)]
    one = rates(np.linspace(0, 1, 40), words=words)
    systems = {"one": one, "other": one}
    figure = plots.per_word_plot(systems) if draw == "both" else plots.word_difference_plot(one, one, names=("a", "b"))
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0
