from typing import Any

import numpy as np
import pytest

from earmark.evaluation import plots


@pytest.fixture
def panels():
    rng = np.random.default_rng(0)
    return {
        "k1": {"right keyword": rng.normal(1, 1, 300), "impostor clip": rng.normal(size=900)},
        "k5": {"right keyword": rng.normal(2, 1, 300), "impostor clip": np.zeros(0)},
    }


def test_a_score_plot_has_a_panel_a_condition_and_names_the_kinds(panels, legend_of):
    figure = plots.score_plot(panels, title="scores", xlabel="cosine")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["k1", "k5"]
    assert figure.axes[-1].get_xlabel() == "cosine"
    assert legend_of(figure.axes[0].get_legend()) == ["right keyword", "impostor clip"]


def test_a_kind_without_scores_is_not_drawn(panels, legend_of):
    figure = plots.score_plot({"k5": panels["k5"]})
    assert legend_of(figure.axes[0].get_legend()) == ["right keyword"]


def test_each_kind_has_area_one_with_its_few_values_far_out(panels):
    panels["k1"]["right keyword"][0] = 1e6
    figure: Any = plots.score_plot({"k1": panels["k1"]})
    low, high = figure.axes[0].get_xlim()
    assert high - low < 100
    drawn = figure.axes[0].patches[0].get_xy()
    x, y = drawn[:, 0], drawn[:, 1]
    assert abs(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2)) == pytest.approx(1)


def test_a_threshold_is_marked(panels, legend_of):
    (axes,) = plots.score_plot({"k1": panels["k1"]}, threshold=0.5).axes
    (line,) = axes.get_lines()
    assert line.get_xdata()[0] == 0.5
    assert "threshold" in legend_of(axes.get_legend())
