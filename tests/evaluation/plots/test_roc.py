import numpy as np
import pytest

from earmark.evaluation import plots
from earmark.evaluation.metrics import area_under_curve


def test_a_roc_line_has_the_points_of_its_curve_and_the_auc_in_its_label(curves, lines_of):
    (axes,) = plots.roc_plot(curves, of="clips").axes
    line = lines_of(axes)[0]
    assert line.get_label() == f"k1  (AUC {100 * area_under_curve(curves['k1']):.1f} %)"
    x, y = line.get_data()
    curve = curves["k1"]
    for far in (0.01, 0.1, 0.5):
        expected = 1 - curve.frr[np.searchsorted(curve.far, far)]
        assert np.interp(100 * far, x, y) == pytest.approx(100 * expected, abs=1)
    assert axes.get_xscale() == "log"
    assert axes.get_ylabel() == "right acceptances of clips (%)"


def test_perfect_scores_draw_a_line_along_the_top(perfect, lines_of):
    x, y = lines_of(plots.roc_plot(perfect).axes[0])[0].get_data()
    assert (x > 0).all()
    assert y.max() == 100
