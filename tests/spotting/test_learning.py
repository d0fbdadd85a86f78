"""Corrections of a keyword by its user."""

from dataclasses import replace

import numpy as np
import pytest

from earmark.core import audio
from earmark.core.errors import InputError
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll, extend, reembed
from earmark.spotting.keyword_calibration import KeywordCalibration
from earmark.spotting.learning import (
    Span,
    drop_negative,
    drop_take,
    lost_takes,
    mark_false,
    mark_missed,
    set_threshold,
)
from earmark.spotting.negative import MARGIN, STEEPNESS, discounted
from earmark.spotting.takes import EnrollmentError

NEAR_RISE = (250, 700, 900)
"""Pitches of a word that a keyword "rise" with a low threshold takes for its own."""


@pytest.fixture(scope="module")
def encoder(make_encoder):
    return make_encoder()


@pytest.fixture
def rise(say, encoder):
    keyword = enroll("rise", [say("rise", seed=seed) for seed in range(4)], encoder=encoder)
    return replace(keyword, threshold=0.75)


@pytest.fixture
def kitchen(say, hush):
    """Six seconds with a word like “rise” at 2 s and at 4 s."""
    wave = hush(6.0)
    for seed, start in ((50, 32_000), (51, 64_000)):
        wave[start : start + 9600] += say(*NEAR_RISE, before_s=0, after_s=0, noise_db=-90.0, seed=seed)
    return wave


def heard(keyword, wave, encoder):
    return list(Detector(keyword, encoder=encoder).detect(wave))


def test_a_marked_recording_stays_quiet_and_true_words_are_still_detected(rise, kitchen, encoder, say):
    assert len(heard(rise, kitchen, encoder)) == 2
    marked = mark_false(rise, kitchen, encoder, source="kitchen")
    assert heard(marked, kitchen, encoder) == []
    assert {negative.source for negative in marked.negatives} == {"kitchen"}
    assert (marked.threshold, len(marked.takes)) == (rise.threshold, len(rise.takes))
    other = say(*NEAR_RISE, seed=60)
    assert heard(rise, other, encoder)
    assert heard(marked, other, encoder) == []
    words = [say("rise", seed=seed) for seed in range(30, 36)]
    assert all(len(heard(marked, word, encoder)) == 1 for word in words)
    assert lost_takes(rise, marked) == []


def test_only_the_given_span_is_marked(rise, kitchen, encoder, tmp_path):
    audio.write(tmp_path / "kitchen.wav", kitchen)
    marked = mark_false(rise, tmp_path / "kitchen.wav", encoder, span=Span(3.7, 5.0))
    (negative, *_) = marked.negatives
    assert negative.source == str(tmp_path / "kitchen.wav")
    # One second of context before the span of the window.
    assert negative.start_s == pytest.approx(1.0, abs=0.01)
    starts = range(40_000, 64_000, 160)
    found = [start for start in starts if np.allclose(kitchen[start : start + 8000], negative.wave[:8000], atol=1e-3)]
    assert found[0] / 16_000 + 1.0 == pytest.approx(heard(rise, kitchen, encoder)[1].start_s, abs=0.15)


def test_a_near_miss_is_marked_too_but_not_what_resembles_nothing(rise, kitchen, encoder, hush, say):
    strict = replace(rise, threshold=0.9)
    assert heard(strict, kitchen, encoder) == []
    assert len(mark_false(strict, kitchen, encoder).negatives) == 1
    for wave in (hush(3.0), say("fall")):
        with pytest.raises(InputError, match="'rise'"):
            mark_false(strict, wave, encoder)


def test_the_word_itself_cannot_be_marked(encoder, say):
    alone = enroll("rise", [say("rise", seed=1)], encoder=encoder)
    with pytest.raises(InputError, match="'rise'"):
        mark_false(alone, say("rise", seed=1), encoder)
    both = enroll("rise", [say("rise", seed=1), say(*NEAR_RISE, seed=2)], encoder=encoder)
    with pytest.raises(InputError, match="takes 1 "):
        mark_false(replace(both, threshold=0.85), say("rise", seed=1), encoder)


@pytest.mark.parametrize("span", [Span(5.0, 4.0), Span(100.0, None), Span(0.0, 0.0)])
def test_an_empty_span_is_refused(rise, kitchen, encoder, span):
    for work in (mark_false, mark_missed):
        with pytest.raises(InputError, match="no audio"):
            work(rise, kitchen, encoder, span=span)


def test_a_missed_word_becomes_a_take_with_its_context(rise, encoder, say, hush):
    wave = np.concatenate([say("fall", seed=3), hush(1.0), say("rise", seed=40), hush(1.0), say("bow", seed=3)])
    start_s = len(say("fall")) / 16_000 + 1.0
    longer = mark_missed(rise, wave, encoder, span=Span(start_s, start_s + 1.4), source="hall", background=None)
    take = longer.takes[-1]
    assert (len(longer.takes), take.source) == (5, "hall")
    assert longer.parts is not None
    assert len(longer.parts) == len(longer.embeddings) == 5
    assert take.start_s == 1.0  # of context
    assert take.end_s - take.start_s == pytest.approx(0.65, abs=0.06)
    with pytest.raises(EnrollmentError):
        mark_missed(rise, hush(3.0), encoder)


def test_a_take_is_dropped_by_its_number(rise, encoder):
    shorter = drop_take(rise, 2, encoder)
    assert [
        take.wave is kept.wave for take, kept in zip(shorter.takes, [rise.takes[i] for i in (0, 2, 3)], strict=True)
    ]
    assert rise.parts is not None
    assert shorter.parts is not None
    np.testing.assert_allclose(shorter.parts, rise.parts[[0, 2, 3]], atol=1e-6)
    for number in (0, 5):
        with pytest.raises(InputError, match=str(number)):
            drop_take(rise, number, encoder)
    with pytest.raises(InputError, match="no other take"):
        drop_take(drop_take(drop_take(shorter, 1, encoder), 1, encoder), 1, encoder)


def test_a_threshold_of_the_user_stays_when_takes_change(rise, encoder, say):
    chosen = set_threshold(rise, 0.7)
    assert (chosen.threshold, chosen.rate, chosen.calibration.origin) == (0.7, None, "user")
    for changed in (
        drop_take(chosen, 1, encoder),
        mark_missed(chosen, say("rise", seed=9), encoder),
        extend(chosen, [say("rise", seed=9)], encoder=encoder),
        reembed(chosen, encoder),
    ):
        assert (changed.threshold, changed.rate, changed.calibration.origin) == (0.7, None, "user")
    again = reembed(chosen, encoder, false_alarms_per_hour=1)
    assert (again.rate, again.calibration) == (1, KeywordCalibration())
    with pytest.raises(InputError, match="threshold"):
        set_threshold(rise, 1.5)


def test_negatives_stay_with_more_takes_and_another_encoder(rise, kitchen, encoder, make_encoder, say):
    marked = mark_false(rise, kitchen, encoder)
    count = len(marked.negatives)
    assert len(extend(marked, [say("rise", seed=9)], encoder=encoder).negatives) == count
    other = reembed(marked, make_encoder(fingerprint="e" * 48))
    assert other.negative_parts is not None
    assert len(other.negative_parts) == count
    fewer = drop_negative(marked, 1)
    assert len(fewer.negatives) == count - 1
    while fewer.negatives:
        fewer = drop_negative(fewer, 1)
    assert fewer.negative_parts is None
    assert len(heard(fewer, kitchen, encoder)) == 2
    with pytest.raises(InputError, match="1"):
        drop_negative(fewer, 1)


def test_negatives_of_one_keyword_leave_another_as_it_is(rise, kitchen, encoder, say):
    fall = enroll("fall", [say("fall", seed=seed) for seed in range(3)], encoder=encoder)
    marked = mark_false(rise, kitchen, encoder)
    _, before = Detector([fall, rise], encoder=encoder).scores(kitchen)
    _, after = Detector([fall, marked], encoder=encoder).scores(kitchen)
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=1e-6)
    assert (after[:, 1] <= before[:, 1] + 1e-6).all()


def test_scores_are_discounted_by_the_nearest_negative_only():
    scores = np.array([[0.8, 0.7, 0.6], [0.5, 0.9, 0.6]], np.float32)
    negatives = np.array([[0.2, 0.79, 0.9], [0.8, 0.1, 0.4]], np.float32)
    got = discounted(scores, negatives, np.array([0, 0, 2]))
    expected = scores.copy()
    expected[0] -= STEEPNESS * np.array([0.79 + MARGIN - 0.8, 0, 0.9 + MARGIN - 0.6])
    expected[1] -= STEEPNESS * np.array([0.8 + MARGIN - 0.5, 0, 0])
    np.testing.assert_allclose(got, expected, atol=1e-6)
