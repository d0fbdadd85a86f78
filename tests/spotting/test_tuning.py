from dataclasses import replace

import numpy as np
import pytest

from earmark.core import audio
from earmark.core.errors import InputError
from earmark.spotting.background import Background, background_events, fit_tail, read_background, with_threshold
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll, extend, reembed
from earmark.spotting.keyword_calibration import BackgroundTail, mixed_threshold
from earmark.spotting.tuning import near_misses, tune


@pytest.fixture(scope="module")
def encoder(make_encoder):
    return make_encoder()


@pytest.fixture(scope="module")
def rise(say, encoder):
    return enroll("rise", [say("rise", seed=seed) for seed in range(4)], encoder=encoder)


@pytest.fixture(scope="module")
def room_file(say, hush, tmp_path_factory):
    """Eight minutes of words that glide at random, some of them like “rise”."""
    rng, wave = np.random.default_rng(0), hush(480.0)
    for number, start in enumerate(range(16_000, 478 * 16_000, 24_000)):
        pitches = np.array([200, 500, 1200]) * np.exp(0.7 * rng.standard_normal(3))
        wave[start : start + 9600] += say(*pitches, before_s=0, after_s=0, noise_db=-90.0, seed=number)
    path = tmp_path_factory.mktemp("rooms") / "room.wav"
    audio.write(path, wave)
    return path


@pytest.fixture(scope="module")
def room(room_file, encoder):
    return read_background(room_file, encoder)


@pytest.fixture(scope="module")
def usual(say, hush, encoder):
    """Four minutes of two other words."""
    wave = hush(240.0)
    for number, start in enumerate(range(16_000, 238 * 16_000, 24_000)):
        word = ("fall", "bow")[number % 2]
        wave[start : start + 9600] += say(word, before_s=0, after_s=0, noise_db=-90.0, seed=number)
    return Background(encoder.frames(wave), encoder.hop_s, encoder.fingerprint)


def test_a_threshold_is_the_mean_of_the_room_and_the_background(rise, encoder, room, usual):
    tuned = tune(rise, encoder, room, false_alarms_per_hour=80, background=usual)
    tails = [fit_tail(background_events(rise, encoder, one), one.hours) for one in (usual, room)]
    assert tuned.keyword.threshold == pytest.approx(mixed_threshold(tails, 80), abs=1e-6)
    assert tails[0].threshold(80) < tuned.keyword.threshold < tails[1].threshold(80)
    assert np.mean([tail.rate(tuned.keyword.threshold) for tail in tails]) == pytest.approx(80, rel=1e-3)
    assert tuned.rate == pytest.approx(tails[1].rate(tuned.keyword.threshold))
    assert tuned.rate_before == pytest.approx(tails[1].rate(rise.threshold))
    assert (tuned.keyword.rate, tuned.keyword.calibration.origin) == (80, "room")


def test_a_known_rate_stays(rise, encoder, room, usual):
    assert tune(replace(rise, rate=50), encoder, room, background=usual).keyword.rate == 50
    assert tune(replace(rise, rate=None), encoder, room, background=usual).keyword.rate == 0.5


def test_near_misses_are_the_highest_events_with_their_audio(rise, encoder, room, room_file, usual):
    tuned = tune(rise, encoder, room, false_alarms_per_hour=80, background=usual, most=5)
    scores = [event.score for event in tuned.events]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    found = near_misses(room_file, tuned.events)
    whole = audio.read(room_file)
    for one, event in zip(found, tuned.events, strict=True):
        assert one.score == event.score
        assert str(room_file) in one.source
        start = round((event.start_s - one.start_s) * 16_000)
        np.testing.assert_allclose(one.wave, whole[start : start + len(one.wave)], atol=1e-6)
        # The best of the window lengths, from 0.7 to 1.4 of the word, in whole frames.
        assert 0.7 * rise.duration_s - 0.04 < one.end_s - one.start_s < 1.4 * rise.duration_s + 0.04


def test_tuning_keeps_a_noisy_room_quieter(rise, encoder, room, room_file, usual):
    def count(keyword):
        return len(list(Detector(keyword, encoder=encoder).detect(room_file)))

    before = with_threshold(rise, encoder, 100, usual)
    after = tune(rise, encoder, room, false_alarms_per_hour=100, background=usual).keyword
    assert count(after) < count(before)


def test_the_room_counts_when_takes_or_the_rate_change_but_not_for_another_encoder(
    rise, encoder, make_encoder, room, usual, say
):
    tuned = tune(rise, encoder, room, false_alarms_per_hour=80, background=usual).keyword
    again = with_threshold(tuned, encoder, 80, usual)
    assert again.threshold == pytest.approx(tuned.threshold)
    rarer = with_threshold(tuned, encoder, 50, usual)
    assert (rarer.threshold > tuned.threshold, rarer.calibration.origin) == (True, "room")
    longer = extend(tuned, [say("rise", seed=9)], encoder=encoder, background=usual)
    assert longer.calibration.origin == "room"
    assert longer.threshold == pytest.approx(tuned.threshold, abs=0.05)
    other = reembed(tuned, make_encoder(fingerprint="e" * 48), background=None)
    assert (other.calibration.origin, other.calibration.room) == ("rate", None)


def test_without_a_background_the_room_only_raises_the_threshold(rise, encoder, room):
    low, high = (tune(rise, encoder, room, false_alarms_per_hour=rate, background=None) for rate in (0.1, 100))
    assert low.keyword.threshold >= encoder.calibration.threshold(0.1)
    assert high.keyword.threshold == pytest.approx(
        max(
            encoder.calibration.threshold(100),
            fit_tail(background_events(rise, encoder, room), room.hours).threshold(100),
        )
    )


def test_a_short_room_is_refused(encoder, hush, tmp_path):
    audio.write(tmp_path / "short.wav", hush(20.0))
    with pytest.raises(InputError, match=r"short\.wav"):
        read_background(tmp_path / "short.wav", encoder)


def test_a_mixed_threshold_has_the_mean_rate():
    tails = [BackgroundTail(0.5, 0.02, 40, 1.0), BackgroundTail(0.6, 0.04, 40, 0.3)]
    for rate in (0.1, 1.0, 30.0):
        threshold = mixed_threshold(tails, rate)
        assert np.mean([tail.rate(threshold) for tail in tails]) == pytest.approx(rate, rel=1e-3)
        assert mixed_threshold(tails[:1], rate) == pytest.approx(tails[0].threshold(rate))
