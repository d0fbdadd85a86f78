from dataclasses import replace

import numpy as np
import pytest

from earmark.spotting.background import Background, with_threshold
from earmark.spotting.detector import Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrollment import enroll
from earmark.spotting.expectation import detection_probability, expected_misses, misses_with
from earmark.spotting.keyword_calibration import BackgroundTail
from earmark.spotting.learning import set_threshold

TAIL = BackgroundTail(level=0.6, scale=0.05, count=40, hours=1.0)
SETTINGS = DetectorSettings()


def misses_of(keyword, encoder):
    found = expected_misses(keyword, encoder, TAIL, SETTINGS)
    assert found is not None
    return found


@pytest.fixture
def takes(say):
    return [say("rise", seed=seed) for seed in range(4)]


@pytest.fixture
def background(say, hush, stand_in):
    others = (say(("fall", "bow")[seed % 2], seed=seed, before_s=0.7) for seed in range(60))
    wave = np.concatenate([hush(20.0), *others])
    return Background(stand_in.frames(wave), stand_in.hop_s, stand_in.fingerprint)


def test_a_higher_threshold_is_expected_to_miss_more(takes, stand_in):
    keyword = enroll("rise", takes, encoder=stand_in, background=None)
    misses = [misses_of(replace(keyword, threshold=threshold), stand_in) for threshold in (0.2, 0.8, 0.95, 1.0)]
    assert misses == sorted(misses)
    assert misses[0] < 0.01
    assert misses[-1] > 0.3


def test_takes_unlike_each_other_are_expected_to_miss_more(takes, say, stand_in):
    alike = enroll("rise", takes, encoder=stand_in, background=None)
    mixed = enroll("rise", [*takes[:2], say("bow"), say("fall")], encoder=stand_in, background=None)
    assert misses_of(mixed, stand_in) > misses_of(alike, stand_in)


def test_audio_around_the_word_does_not_change_the_expectation(say, hush, stand_in):
    short = [say("rise", seed=seed, before_s=0.4, after_s=0.4) for seed in range(3)]
    long = [np.concatenate([hush(3.0), take, hush(2.0)]) for take in short]
    found = [
        misses_of(replace(enroll("rise", waves, encoder=stand_in, background=None), threshold=0.9), stand_in)
        for waves in (short, long)
    ]
    assert found[0] == pytest.approx(found[1], abs=0.1)


def test_a_single_take_has_no_expected_misses(takes, stand_in, background):
    keyword = enroll("rise", takes[:1], encoder=stand_in, background=background)
    assert keyword.calibration.expected_misses is None
    assert keyword.calibration.logistic is not None


def test_more_takes_are_expected_to_miss_less():
    found = [misses_with(0.3, 2, more) for more in (0, 1, 3, 8)]
    assert found[0] == pytest.approx(0.3)
    assert found == sorted(found, reverse=True)
    assert misses_with(0.3, 1, 4) < misses_with(0.3, 3, 4)


def test_the_probability_rises_with_the_score_whatever_the_threshold(takes, say, hush, stand_in, background):
    keyword = enroll("rise", takes, encoder=stand_in, background=background)
    stream = np.concatenate([hush(1.0), say("rise", seed=9), hush(1.0)])
    found = []
    for threshold in (0.3, 0.6):
        (hit,) = Detector(keyword, encoder=stand_in, settings=DetectorSettings(threshold=threshold)).detect(stream)
        found.append(hit)
    assert found[0].probability == found[1].probability
    curve = detection_probability(keyword.calibration.tails, len(takes))
    assert found[0].probability == pytest.approx(curve.probability(found[0].score))
    assert curve.probability(0.2) < curve.probability(0.5) < curve.probability(0.9)


def test_a_detection_by_few_takes_is_less_probable():
    one, five = (detection_probability([TAIL], takes) for takes in (1, 5))
    assert one.probability(0.9) < five.probability(0.9)
    assert detection_probability([TAIL], 0) == one


def test_a_rarer_rate_raises_the_threshold_and_the_expected_misses(takes, stand_in, background):
    keyword = enroll("rise", takes, encoder=stand_in, background=background)
    often, rare = (with_threshold(keyword, stand_in, rate, background) for rate in (50, 0.1))
    assert often.calibration.expected_misses < rare.calibration.expected_misses
    assert often.calibration.logistic == rare.calibration.logistic
    rates = [one.calibration.false_alarms_per_hour(one.threshold) for one in (often, rare)]
    assert rates[0] == pytest.approx(50)
    assert rates[1] < 50


def test_a_threshold_of_the_user_has_no_expected_misses(takes, stand_in, background):
    keyword = set_threshold(enroll("rise", takes, encoder=stand_in, background=background), 0.9)
    assert keyword.calibration.expected_misses is None
    assert keyword.calibration.logistic is not None
    assert keyword.calibration.false_alarms_per_hour(0.9) is None


def test_without_background_nothing_is_expected(takes, stand_in):
    calibration = enroll("rise", takes, encoder=stand_in, background=None).calibration
    assert calibration.expected_misses is None
    assert calibration.logistic is None
