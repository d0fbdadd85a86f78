"""Keywords from synthetic takes, alone and beside recordings; the words of the other tests take the place of voices."""

import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll, extend, reembed
from earmark.spotting.keyword import take_scores
from earmark.spotting.learning import drop_take
from earmark.spotting.parts import SPANS
from earmark.spotting.synthetic import WEIGHT, mean_length_s, mean_parts, means_of_others
from earmark.spotting.takes import EnrollmentError, Take

WORD_S = 0.6  # of `say`, from 0.4 s on


@pytest.fixture
def voices(say):
    """The word rise in five synthetic voices."""
    return [Take(say("rise", seed=seed), 0.4, 0.4 + WORD_S, f"synthetic: {seed}") for seed in range(30, 35)]


def rows(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, len(SPANS), 5))
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_synthetic_takes_count_as_one_and_a_half_recordings_however_many_they_are(count: int):
    recorded, synthetic = rows(3, 1), rows(count, 2)
    total = recorded.sum(axis=0) + 1.5 * synthetic.mean(axis=0)
    expected = total / np.linalg.norm(total, axis=-1, keepdims=True)
    np.testing.assert_allclose(mean_parts(recorded, synthetic), expected, atol=1e-6)
    without = means_of_others(recorded, synthetic)[1]
    np.testing.assert_allclose(without, mean_parts(recorded[[0, 2]], synthetic), atol=1e-6)


def test_without_synthetic_takes_the_mean_is_that_of_the_recordings():
    recorded = rows(3, 1)
    np.testing.assert_array_equal(mean_parts(recorded, None), mean_parts(recorded, rows(0, 2)))
    total = recorded.sum(axis=0)
    np.testing.assert_allclose(
        mean_parts(recorded, None), total / np.linalg.norm(total, axis=-1, keepdims=True), atol=1e-6
    )


def test_the_length_is_a_weighted_mean_too(voices):
    assert mean_length_s([], voices) == pytest.approx(WORD_S)
    assert mean_length_s([1.0], voices) == pytest.approx((1.0 + WEIGHT * WORD_S) / (1 + WEIGHT))
    assert mean_length_s([1.0, 0.8], []) == pytest.approx(0.9)


def test_a_keyword_without_recordings_is_detected(say, voices, stand_in):
    keyword = enroll("rise", synthetic=voices, encoder=stand_in)
    assert (keyword.takes, len(keyword.synthetic), keyword.take_weight) == ((), 5, WEIGHT)
    assert keyword.parts.shape == (0, len(SPANS), stand_in.dimension)
    assert keyword.duration_s == pytest.approx(WORD_S)
    assert keyword.prototype.shape == (stand_in.dimension,)
    detector = Detector(keyword, encoder=stand_in)
    stream = np.concatenate([say("bow", seed=1), say("rise", seed=2), say("fall", seed=3)])
    (hit,) = detector.detect(stream)
    assert abs((hit.start_s + hit.end_s) / 2 - 2.1) < 0.2


def test_recordings_and_other_encoders_keep_the_synthetic_takes(say, voices, stand_in, make_encoder):
    keyword = enroll("rise", [say("rise", seed=1)], synthetic=voices, encoder=stand_in)
    assert take_scores(keyword) is None
    longer = extend(keyword, [say("rise", seed=2)], encoder=stand_in)
    assert (len(longer.takes), len(longer.synthetic), longer.take_weight) == (2, 5, 2 + WEIGHT)
    assert take_scores(longer).min() > 0.9
    fewer = extend(longer, synthetic=voices[:2], encoder=stand_in)
    assert (len(fewer.takes), len(fewer.synthetic)) == (2, 2)
    other = make_encoder(name="other", fingerprint="9" * 16)
    converted = reembed(longer, other)
    assert (converted.encoder, len(converted.synthetic)) == (other.fingerprint, 5)
    assert converted.synthetic_parts.shape == (5, len(SPANS), other.dimension)


def test_the_last_recording_may_be_dropped_where_there_are_synthetic_takes(say, voices, stand_in):
    alone = enroll("rise", [say("rise", seed=1)], encoder=stand_in)
    with pytest.raises(InputError, match="no other take"):
        drop_take(alone, 1, stand_in, background=None)
    both = enroll("rise", [say("rise", seed=1)], synthetic=voices, encoder=stand_in)
    left = drop_take(both, 1, stand_in, background=None)
    assert (left.takes, len(left.synthetic)) == ((), 5)
    assert left.duration_s == pytest.approx(WORD_S)


def test_without_any_take_the_error_names_both_cures(stand_in):
    with pytest.raises(EnrollmentError, match=r"rise: no takes; record the word .*--say"):
        enroll("rise", encoder=stand_in)
