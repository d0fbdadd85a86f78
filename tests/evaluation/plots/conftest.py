import numpy as np
import pytest

from earmark.evaluation.metrics import error_curve


def gaussian(separation, seed=0):
    """An error curve of normally distributed scores, whose true DET curve is a straight line."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(size=8000), separation + rng.normal(size=1500)])
    return error_curve(scores, np.arange(9500) >= 8000)


@pytest.fixture
def curves():
    return {"k1": gaussian(2.0), "k5": gaussian(3.0, seed=1)}


@pytest.fixture
def perfect():
    return {"k1": gaussian(100.0)}


@pytest.fixture(scope="session")
def lines_of():
    """The lines of axes that have a label in the legend."""
    return lambda axes: [line for line in axes.get_lines() if not line.get_label().startswith("_")]


@pytest.fixture(scope="session")
def legend_of():
    """The texts of a legend."""
    return lambda legend: [text.get_text() for text in legend.get_texts()]
