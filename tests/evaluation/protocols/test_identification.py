import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.evaluation.protocols.identification import compute_metrics, ranks

CLASSES = [f"id{number}" for number in range(8)]


def test_shares_are_those_of_sorting_each_row():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(60, 8)).round(1)  # some of them equal
    labels = [CLASSES[number] for number in rng.integers(8, size=60)]
    plain = []
    for row, label in zip(logits, labels, strict=True):
        order = sorted(range(8), key=lambda column: (-row[column], column))
        plain.append(order.index(CLASSES.index(label)))
    assert ranks(logits, CLASSES, labels).tolist() == plain
    found = compute_metrics(logits, CLASSES, labels, np.random.default_rng(1))
    assert found["top_1"].value == pytest.approx(np.mean([place == 0 for place in plain]))
    assert found["top_5"].value == pytest.approx(np.mean([place < 5 for place in plain]))
    for estimate in found.values():
        assert estimate.low <= estimate.value <= estimate.high


def test_without_draws_there_is_no_interval():
    found = compute_metrics(np.eye(8), CLASSES, CLASSES)
    assert found["top_1"].value == 1
    assert np.isnan(found["top_1"].low)


def test_a_speaker_that_was_not_trained_on_is_named():
    with pytest.raises(InputError, match="'carl'"):
        compute_metrics(np.eye(8), CLASSES, ["carl", *CLASSES[1:]])


@pytest.mark.parametrize("logits", [np.zeros((8, 7)), np.zeros(8), np.full((8, 8), np.nan)])
def test_wrong_logits_are_refused(logits):
    with pytest.raises(InputError, match="logits"):
        compute_metrics(logits, CLASSES, CLASSES)
