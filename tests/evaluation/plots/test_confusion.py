import numpy as np
import pytest

from earmark.evaluation import plots
from earmark.evaluation.confusion import Confusion, count_confusion


def test_cells_show_percent_of_the_row_and_rows_the_number_of_clips():
    figure = plots.confusion_plot({"k5": Confusion(("yes", "no"), ("yes", "no", "unknown"), ((3, 1, 0), (0, 8, 2)))})
    (axes,) = figure.axes
    cells = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "75", (1, 0): "25", (1, 1): "80", (2, 1): "20"}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["yes (4)", "no (10)"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["yes", "no", "unknown"]
    assert axes.get_title(loc="left") == "k5"


def test_a_word_without_clips_is_an_empty_row():
    (axes,) = plots.confusion_plot({"": Confusion(("a", "b"), ("a", "b"), ((0, 0), (0, 1)))}).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0, 0], [0, 100]])


@pytest.mark.parametrize("panels", [1, 2, 4])
def test_every_condition_has_a_panel(panels):
    one = Confusion(("a", "b"), ("a", "b"), ((1, 0), (0, 1)))
    figure = plots.confusion_plot({f"k{number}": one for number in range(panels)})
    assert sum(axes.axison for axes in figure.axes) == panels


def test_letters_fit_their_cells_with_forty_words():
    words = tuple(f"word_{number}" for number in range(40))
    labels = np.repeat(np.arange(40), 10)
    counts = count_confusion(words, words, labels, (labels + (np.arange(400) % 10 == 0)) % 40)
    figure = plots.confusion_plot({"k5": counts})
    figure.draw_without_rendering()
    (axes,) = figure.axes
    cell = axes.get_window_extent().width / 40
    assert all(tick.get_window_extent().width < cell for tick in axes.get_xticklabels())  # upright
    assert all(text.get_window_extent().width < cell for text in axes.texts)
