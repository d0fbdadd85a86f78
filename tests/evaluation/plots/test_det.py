import numpy as np
import pytest
from scipy.stats import norm

from earmark.evaluation import plots
from earmark.evaluation.metrics import equal_error_rate, error_curve
from earmark.evaluation.plots.det import POINTS_A_LINE


def test_a_det_plot_has_one_line_per_condition_and_labeled_axes(curves, lines_of):
    (axes,) = plots.det_plot(curves, title="base on gsc10").axes
    assert [line.get_label().split()[0] for line in lines_of(axes)] == ["k1", "k5"]
    assert axes.get_xlabel() == "false acceptances of trials (%)"
    assert axes.get_ylabel() == "false rejections of trials (%)"
    assert axes.get_title() == "base on gsc10"
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert ticks == ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "40"]
    assert len({line.get_color() for line in lines_of(axes)}) == 2


def test_normal_scores_draw_a_straight_line_of_slope_minus_one(curves, lines_of):
    line = lines_of(plots.det_plot(curves).axes[0])[1]
    x, y = line.get_data()
    inside = (np.abs(x) < 1.5) & (np.abs(y) < 2)
    slope, offset = np.polyfit(x[inside], y[inside], 1)
    assert slope == pytest.approx(-1, abs=0.15)
    assert offset == pytest.approx(-3, abs=0.2)


def test_the_line_passes_through_the_equal_error_rate_in_its_label(curves, lines_of):
    eer = equal_error_rate(curves["k1"])
    line = lines_of(plots.det_plot(curves).axes[0])[0]
    assert f"(EER {100 * eer:.1f} %)" in line.get_label()
    x, y = line.get_data()
    assert np.interp(norm.ppf(eer), x, y) == pytest.approx(norm.ppf(eer), abs=0.02)


def test_a_thinned_line_keeps_few_points_all_of_them_on_the_curve(curves, lines_of):
    curve = curves["k1"]
    x, y = lines_of(plots.det_plot(curves).axes[0])[0].get_data()
    assert 100 < len(x) <= POINTS_A_LINE
    known = set(zip(curve.far.round(9), curve.frr.round(9), strict=True))
    inner = [(far, frr) for far, frr in zip(norm.cdf(x).round(9), norm.cdf(y).round(9), strict=True)
             if far > 1e-3 and frr > 1e-3]  # fmt: skip
    assert set(inner) <= known


def test_perfect_scores_draw_without_infinite_points(perfect, lines_of):
    (axes,) = plots.det_plot(perfect).axes
    assert np.isfinite(lines_of(axes)[0].get_xydata()).all()


def test_normal_deviates_equal_those_of_scipy():
    rates = [0.0, 1e-4, 0.3, 0.999, 1.0]
    np.testing.assert_allclose(plots.normal_deviate(rates), norm.ppf(rates))


def test_the_legend_does_not_cover_good_or_poor_curves(curves, perfect):
    rng = np.random.default_rng(0)
    poor = {"k1": error_curve(rng.normal(size=2000) + 0.3 * (np.arange(2000) < 500), np.arange(2000) < 500)}
    for shown, is_right in ((perfect, True), (curves, False), (poor, False)):
        figure = plots.det_plot(shown)
        figure.draw_without_rendering()
        (axes,) = figure.axes
        place, panel = axes.get_legend().get_window_extent(), axes.get_window_extent()
        assert (place.x0 + place.x1 > panel.x0 + panel.x1) == is_right
