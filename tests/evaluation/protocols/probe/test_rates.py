"""Precision and recall of the probe equal those of scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from earmark.core.errors import InputError
from earmark.evaluation.protocols.probe.rates import count, numbers_of, precision_and_recall, word_rates

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(pairs)
def test_the_table_is_that_of_scikit_learn(pairs):
    labels, predicted = np.array(pairs).T
    np.testing.assert_array_equal(count(labels, predicted, 5), confusion_matrix(labels, predicted, labels=range(5)))


@given(pairs)
def test_every_number_equals_scikit_learns(pairs):
    labels, predicted = np.array(pairs).T
    present = np.unique(labels)
    numbers = numbers_of(count(labels, predicted, 5))
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(
            labels, predicted, labels=present, average=average, zero_division=0
        )
        assert numbers[f"{average}_precision"] == pytest.approx(precision)
        assert numbers[f"{average}_recall"] == pytest.approx(recall)
        if average == "macro":
            assert numbers["macro_f1"] == pytest.approx(f1)
    assert numbers["error"] == pytest.approx(np.mean(labels != predicted))
    assert numbers["weighted_recall"] == pytest.approx(1 - numbers["error"])


@given(pairs)
def test_the_rates_of_each_word_equal_scikit_learns(pairs):
    labels, predicted = np.array(pairs).T
    precision, recall = precision_and_recall(count(labels, predicted, 5))
    expected = precision_recall_fscore_support(labels, predicted, labels=range(5), zero_division=0)
    is_said = expected[3] > 0
    np.testing.assert_allclose(precision[is_said], expected[0][is_said])
    np.testing.assert_allclose(recall[is_said], expected[1][is_said])
    assert np.isnan(recall[~is_said]).all()


@given(pairs, st.randoms(use_true_random=False))
def test_weights_count_a_clip_as_often_as_they_say(pairs, random):
    labels, predicted = np.array(pairs).T
    weights = np.array([random.randrange(3) for _ in pairs])
    again = np.repeat(np.arange(len(pairs)), weights)
    np.testing.assert_allclose(
        count(labels, predicted, 5, weights.astype(float)), count(labels[again], predicted[again], 5)
    )


def test_precision_and_recall_are_not_exchanged():
    # Three clips of the first word, one of which is predicted as the second.
    precision, recall = precision_and_recall(count(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2))
    np.testing.assert_allclose(precision, [1, 1 / 2])
    np.testing.assert_allclose(recall, [2 / 3, 1])


def test_rates_have_one_row_per_repetition_and_the_mean_number_of_clips():
    tables = [np.array([[3.0, 1], [0, 4]]), np.array([[2.0, 0], [1, 1]])]
    rates = word_rates(["yes", "no"], tables)
    assert rates.recall.tolist() == [[0.75, 1], [1, 0.5]]
    assert rates.clips.tolist() == [3, 3]


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(InputError, match="labels"):
        count(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(InputError, match="0 … 1"):
        count(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(InputError, match="counts"):
        numbers_of(np.zeros((2, 2)))
