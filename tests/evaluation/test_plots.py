import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import norm

from earmark.evaluation import few_shot, plots
from earmark.evaluation.metrics import equal_error_rate, error_curve
from earmark.evaluation.trials import ListPair, TrialClip


def gaussian_pair(condition, separation, seed=0):
    """Normal scores, so that the true DET curve is a straight line."""
    rng = np.random.default_rng(seed)
    keywords = [f"w{index}" for index in range(5)]
    test = [TrialClip(keyword, f"{keyword}/{index}") for keyword in keywords for index in range(300)]
    test += [TrialClip("other", f"other/{index}") for index in range(400)]
    pair = ListPair(condition, "s0", tuple(TrialClip(keyword, keyword) for keyword in keywords), tuple(test))
    scores = rng.normal(size=(len(test), 5))
    scored = few_shot.ScoredPair(pair, scores)
    return few_shot.ScoredPair(pair, scores + separation * scored.positive)


@pytest.fixture
def scored():
    return {"k1": (gaussian_pair("k1", 2.0),), "k5": (gaussian_pair("k5", 3.0), gaussian_pair("k5", 3.0, seed=1))}


def curves(axes):
    return [line for line in axes.get_lines() if not line.get_label().startswith("_")]


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_det_plot_has_one_named_line_a_condition_and_labelled_axes(scored):
    (axes,) = plots.det_plot(scored, title="base on gsc10").axes
    assert [line.get_label().split()[0] for line in curves(axes)] == ["k1", "k5"]
    assert "false acceptances" in axes.get_xlabel()
    assert "false rejections" in axes.get_ylabel()
    assert axes.get_title() == "base on gsc10"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        "0.1",
        "0.2",
        "0.5",
        "1",
        "2",
        "5",
        "10",
        "20",
        "40",
    ]
    assert len({line.get_color() for line in curves(axes)}) == 2


def test_normal_scores_draw_a_straight_line_of_slope_minus_one(scored):
    line = curves(plots.det_plot(scored).axes[0])[1]
    x, y = line.get_data()
    inside = (np.abs(x) < 1.5) & (np.abs(y) < 2)
    slope, offset = np.polyfit(x[inside], y[inside], 1)
    assert slope == pytest.approx(-1, abs=0.15)
    assert offset == pytest.approx(-3, abs=0.2)


def test_the_line_passes_through_the_equal_error_rate_in_its_label(scored):
    (pair,) = scored["k1"]
    eer = equal_error_rate(error_curve(pair.scores.ravel(), pair.positive.ravel()))
    line = curves(plots.det_plot(scored).axes[0])[0]
    assert f"(EER {100 * eer:.1f} %)" in line.get_label()
    x, y = line.get_data()
    assert np.interp(norm.ppf(eer), x, y) == pytest.approx(norm.ppf(eer), abs=0.02)


def test_a_thinned_line_keeps_few_points_all_of_them_on_the_curve(scored):
    (pair,) = scored["k1"]
    curve = error_curve(pair.scores.ravel(), pair.positive.ravel())
    x, y = curves(plots.det_plot(scored).axes[0])[0].get_data()
    assert 100 < len(x) <= plots.POINTS_A_LINE
    known = set(zip(curve.far.round(9), curve.frr.round(9), strict=True))
    inner = [(far, frr) for far, frr in zip(norm.cdf(x).round(9), norm.cdf(y).round(9), strict=True)
             if far > 1e-3 and frr > 1e-3]  # fmt: skip
    assert set(inner) <= known


def test_perfect_scores_draw_without_infinite_points():
    pair = gaussian_pair("k1", 100.0)
    (axes,) = plots.det_plot({"k1": (pair,)}).axes
    assert np.isfinite(curves(axes)[0].get_xydata()).all()


def test_a_score_plot_has_a_panel_a_condition_with_three_kinds(scored):
    figure = plots.score_plot(scored, title="scores")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["k1", "k5"]
    assert figure.axes[-1].get_xlabel() == "score"
    assert legend_of(figure.axes[0]) == [
        "right keyword", "another keyword", "impostor clip"]  # fmt: skip


def test_lists_without_impostors_have_two_kinds(scored):
    (pair,) = scored["k1"]
    targets = pair.targets >= 0
    test = tuple(clip for clip, target in zip(pair.pair.test, targets, strict=True) if target)
    alone = few_shot.ScoredPair(ListPair("k1", "s0", pair.pair.enrolment, test), pair.scores[targets])
    assert legend_of(plots.score_plot({"k1": (alone,)}).axes[0]) == ["right keyword", "another keyword"]


def test_a_saved_figure_is_a_png_of_its_size(tmp_path, scored):
    plots.save(plots.det_plot(scored), tmp_path / "det.png", dpi=100)
    data = (tmp_path / "det.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(data[at : at + 4]) for at in (16, 20)] == [560, 540]


def test_normal_deviates_equal_those_of_scipy():
    rates = [0.0, 1e-4, 0.3, 0.999, 1.0]
    np.testing.assert_allclose(plots.normal_deviate(rates), norm.ppf(rates))


def test_plotting_leaves_pyplot_alone():
    code = "import sys, earmark.evaluation.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
