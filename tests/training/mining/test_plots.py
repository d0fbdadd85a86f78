import numpy as np
import pytest
from matplotlib.legend import Legend

from earmark.evaluation.plots.figures import save
from earmark.training.mining.counts import Histograms
from earmark.training.mining.plots import coverage_plot, similarity_plot
from earmark.training.mining.threshold import CoverageCurve, bin_edges


@pytest.fixture
def histograms():
    counts = np.random.default_rng(0).integers(1, 50, 201)
    return Histograms(counts, counts, counts, counts // 2)


@pytest.fixture
def curve():
    return CoverageCurve(bin_edges(0.01)[::-1], np.linspace(0, 1, 201), 100)


def test_the_legend_has_a_fixed_place_because_the_best_one_takes_long(histograms, curve, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("looked for the best place")

    monkeypatch.setattr(Legend, "_find_best_position", refuse)
    save(similarity_plot(histograms, curve, 0.01), tmp_path / "similarities.png")
    save(coverage_plot(histograms, curve, 0.5), tmp_path / "coverage.png")
    assert (tmp_path / "coverage.png").stat().st_size > 1000
