import numpy as np
import pytest
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from earmark.core.errors import InputError
from earmark.evaluation.svm import Svm, margins, scale


@pytest.fixture
def clouds():
    """Three classes around corners, and clips to be told apart."""
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(3), 30)
    return (
        2 * np.eye(3)[rng.integers(3, size=12)] + rng.normal(size=(12, 3)),
        2 * np.eye(3)[owners] + rng.normal(size=(90, 3)),
        owners,
    )


@pytest.mark.parametrize("settings", [Svm(unit_rows=False), Svm(c=7, gamma=0.3, balanced=True, unit_rows=False)])
def test_margins_equal_those_of_sklearns_one_against_rest(clouds, settings):
    queries, rows, owners = clouds
    machine = SVC(C=settings.c, gamma=settings.gamma, class_weight="balanced" if settings.balanced else None)
    expected = OneVsRestClassifier(machine).fit(rows, owners).decision_function(queries)
    np.testing.assert_allclose(margins(queries, rows, owners, settings), expected)


def test_the_length_of_unit_rows_does_not_count(clouds):
    queries, rows, owners = clouds
    stretched = margins(3 * queries, rows * np.arange(1, 91)[:, None], owners)
    np.testing.assert_allclose(stretched, margins(queries, rows, owners), atol=1e-9)
    apart = margins(3 * queries, rows, owners, Svm(unit_rows=False))
    assert not np.allclose(apart, margins(queries, rows, owners, Svm(unit_rows=False)))


def test_gamma_scale_is_the_number_that_scale_gives(clouds):
    queries, rows, owners = clouds
    by_name = margins(queries, rows, owners, Svm(unit_rows=False))
    by_number = margins(queries, rows, owners, Svm(gamma=scale(rows), unit_rows=False))
    np.testing.assert_allclose(by_name, by_number)


def test_one_class_alone_is_refused(clouds):
    queries, rows, _ = clouds
    with pytest.raises(InputError, match="one class alone"):
        margins(queries, rows, np.zeros(90, int))


@pytest.mark.parametrize("wrong", [{"c": 0}, {"c": float("nan")}, {"gamma": -1}, {"gamma": "auto"}])
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(InputError, match=f"svm {next(iter(wrong))}"):
        Svm(**wrong)
