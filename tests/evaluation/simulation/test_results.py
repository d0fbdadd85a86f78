import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from earmark.core.errors import InputError
from earmark.evaluation.simulation.results import (
    COLUMNS,
    Repetition,
    read_rows,
    row_of,
    score,
    write_rows,
)


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=200)
    return labels, np.where(rng.random(200) < 0.6, labels, rng.integers(1, 5, size=200))


def test_scores_are_those_of_scikit_learn(answers):
    labels, predictions = answers  # the fifth class is predicted, but no clip has it
    scores = score(labels, predictions, 5)
    each = precision_recall_fscore_support(labels, predictions, labels=range(5), zero_division=0)
    mean = precision_recall_fscore_support(labels, predictions, labels=range(5), average="weighted", zero_division=0)
    assert scores.error == pytest.approx(1 - accuracy_score(labels, predictions))
    assert np.allclose([scores.precision, scores.recall], each[:2])
    assert [scores.weighted_precision, scores.weighted_recall] == pytest.approx(mean[:2])


def test_precision_and_recall_are_not_exchanged():
    # All predictions are the first class, whose recall is 1 and whose precision is 1/4.
    scores = score(np.array([0, 1, 1, 1]), np.zeros(4, int), 2)
    assert scores.recall.tolist() == [1, 0]
    assert scores.precision.tolist() == [0.25, 0]
    assert scores.weighted_precision == 0.0625  # weighted by labels, not by predictions


def test_a_table_has_the_ten_columns_and_reads_back(tmp_path, answers):
    labels, predictions = answers
    scores = [score(labels, predictions, 5), score(labels, labels, 5)]
    write_rows(tmp_path / "results.csv", [row_of(*scores), row_of(*reversed(scores))])
    header = (tmp_path / "results.csv").read_text().splitlines()[0]
    assert header.split(",") == list(COLUMNS)
    assert len(COLUMNS) == 10
    first, second = read_rows(tmp_path / "results.csv")
    assert float(first["mfcc_error"]) == scores[0].error
    assert json.loads(first["mfcc_precision"]) == scores[0].precision.tolist()
    assert float(first["ae_weighted_recall"]) == 1
    assert float(second["ae_error"]) == scores[0].error
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_errors_of_both_systems_are_fractions(answers):
    labels, predictions = answers
    row = row_of(score(labels, predictions, 5), score(labels, predictions, 5))
    assert row["mfcc_error"] == row["ae_error"]
    assert 0 < float(row["ae_error"]) < 1


def test_another_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such results"):
        read_rows(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not results of a simulation"):
        read_rows(tmp_path / "other.csv")


def test_no_clip_has_no_scores():
    with pytest.raises(InputError, match="labels"):
        score(np.array([], int), np.array([], int), 2)


def test_a_file_of_another_kind_is_refused(tmp_path):
    np.savez(tmp_path / "repetition-01.npz", classes=np.array(["a"]))
    (tmp_path / "repetition-02.npz").write_bytes((tmp_path / "repetition-01.npz").read_bytes()[:100])
    with pytest.raises(InputError, match=r"repetition-0[12]\.npz"):
        Repetition.open(tmp_path / "repetition-02.npz")
    with pytest.raises(InputError, match=r"repetition-0[12]\.npz"):
        Repetition.open(tmp_path / "repetition-01.npz")
