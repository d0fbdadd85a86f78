import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from earmark.core.errors import InputError
from earmark.evaluation.svm import SvmSettings, margins, scale


@pytest.fixture
def clouds():
    """Embeddings of three classes around three centers, and clips to classify."""
    rng = np.random.default_rng(0)
    class_ids = np.repeat(np.arange(3), 30)
    return (
        2 * np.eye(3)[rng.integers(3, size=12)] + rng.normal(size=(12, 3)),
        2 * np.eye(3)[class_ids] + rng.normal(size=(90, 3)),
        class_ids,
    )


@pytest.mark.parametrize(
    "settings", [SvmSettings(unit_rows=False), SvmSettings(c=7, gamma=0.3, balanced=True, unit_rows=False)]
)
def test_margins_equal_those_of_sklearns_one_against_rest(clouds, settings):
    queries, rows, class_ids = clouds
    svm = SVC(C=settings.c, gamma=settings.gamma or "scale", class_weight="balanced" if settings.balanced else None)
    expected = OneVsRestClassifier(svm).fit(rows, class_ids).decision_function(queries)
    np.testing.assert_allclose(margins(queries, rows, class_ids, settings), expected)


def test_the_length_of_unit_rows_does_not_count(clouds):
    queries, rows, class_ids = clouds
    stretched = margins(3 * queries, rows * np.arange(1, 91)[:, None], class_ids)
    np.testing.assert_allclose(stretched, margins(queries, rows, class_ids), atol=1e-9)
    apart = margins(3 * queries, rows, class_ids, SvmSettings(unit_rows=False))
    assert not np.allclose(apart, margins(queries, rows, class_ids, SvmSettings(unit_rows=False)))


def test_the_default_gamma_is_that_of_scale(clouds):
    queries, rows, class_ids = clouds
    by_name = margins(queries, rows, class_ids, SvmSettings(unit_rows=False))
    by_number = margins(queries, rows, class_ids, SvmSettings(gamma=scale(rows), unit_rows=False))
    np.testing.assert_allclose(by_name, by_number)


def test_one_class_alone_is_refused(clouds):
    queries, rows, _ = clouds
    with pytest.raises(InputError, match="only one class"):
        margins(queries, rows, np.zeros(90, int))


@pytest.mark.parametrize("wrong", [{"c": 0}, {"c": float("nan")}, {"gamma": -1}, {"gamma": "auto"}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SvmSettings(**wrong)
