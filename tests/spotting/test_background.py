from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.core import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.spotting.background import (
    Background,
    background_events,
    fit_tail,
    load_background,
    peak_places,
    with_threshold,
)
from earmark.spotting.detector import Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrolled import EncoderMismatch
from earmark.spotting.enrollment import enroll
from earmark.spotting.keyword import take_scores

WORDS = ("rise", "fall", "bow")


@pytest.fixture
def recording(say, hush, tmp_path):
    """Four minutes of other words, as a file."""
    wave = hush(240.0)
    for number, start in enumerate(range(16_000, 238 * 16_000, 24_000)):
        wave[start : start + 9600] += say(WORDS[1 + number % 2], before_s=0, after_s=0, noise_db=-90.0, seed=number)
    audio.write(tmp_path / "room.wav", wave)
    return tmp_path / "room.wav"


@pytest.fixture
def keyword(say, stand_in):
    return enroll("rise", [say("rise", seed=seed) for seed in range(3)], encoder=stand_in)


def test_none_takes_the_threshold_of_the_card(stand_in, monkeypatch):
    monkeypatch.setenv("EARMARK_BACKGROUND", "none")
    assert load_background(stand_in) is None


def test_a_missing_background_is_named(stand_in, monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_BACKGROUND", str(tmp_path / "room.wav"))
    with pytest.raises(InputError, match=r"room\.wav.*EARMARK_BACKGROUND"):
        load_background(stand_in)


def test_a_background_of_seconds_is_refused(stand_in, monkeypatch, tmp_path, hush):
    audio.write(tmp_path / "room.wav", hush(20.0))
    monkeypatch.setenv("EARMARK_BACKGROUND", str(tmp_path / "room.wav"))
    with pytest.raises(InputError, match=r"room\.wav: 20 s"):
        load_background(stand_in)


def test_a_cache_that_cannot_be_written_costs_only_time(stand_in, monkeypatch, tmp_path, recording):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EARMARK_BACKGROUND", str(recording))
    assert load_background(stand_in).hours == pytest.approx(240 / 3600)


def test_frames_are_computed_once_and_kept_for_each_encoder(recording, tmp_path, monkeypatch, make_encoder):
    monkeypatch.setenv("EARMARK_BACKGROUND", str(recording))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    encoder, calls = make_encoder(fingerprint="b4" * 24), []
    first = load_background(encoder, progress=lambda *call: calls.append(call))
    assert calls[-1][1:] == (240.0, 240.0)
    assert first.hours == pytest.approx(240 / 3600)
    np.testing.assert_allclose(first.frames, encoder.frames(audio.read(recording)), atol=1e-2)
    calls.clear()
    assert load_background(encoder, progress=lambda *call: calls.append(call)) is first
    assert not calls
    load_background(make_encoder(fingerprint="c5" * 24), progress=lambda *call: calls.append(call))
    assert calls


def test_a_keyword_gets_the_threshold_of_its_rate(keyword, recording, stand_in):
    background = Background(stand_in.frames(audio.read(recording)), stand_in.hop_s, stand_in.fingerprint)
    events = background_events(keyword, stand_in, background)
    rare, usual = (with_threshold(keyword, stand_in, rate, background) for rate in (20, 100))
    assert (rare.rate, usual.rate) == (20, 100)
    tail = fit_tail(events, 240 / 3600).threshold(100)
    assert rare.threshold > usual.threshold > tail
    # The takes agree far better than the background resembles them: the threshold moves halfway to 0.15 below.
    scores = take_scores(keyword)
    assert scores is not None
    agreed = np.median(scores) - 0.15
    assert usual.threshold == pytest.approx((tail + agreed) / 2)
    pair = replace(keyword, takes=keyword.takes[:2], embeddings=keyword.embeddings[:2], parts=keyword.parts[:2])
    expected = fit_tail(background_events(pair, stand_in, background), 240 / 3600).threshold(100)
    assert with_threshold(pair, stand_in, 100, background).threshold == pytest.approx(expected)
    assert events.max() < 0.95
    slow = DetectorSettings(smoothing_s=0.4)
    assert with_threshold(keyword, stand_in, 20, background, settings=slow).threshold < rare.threshold
    with pytest.raises(InputError, match="false_alarms_per_hour"):
        with_threshold(keyword, stand_in, 1e6, background)


def test_a_background_and_a_keyword_of_another_encoder_are_refused(keyword, stand_in, make_encoder):
    other = make_encoder(fingerprint="0" * 48)
    with pytest.raises(EncoderMismatch):
        with_threshold(keyword, other, 1)
    frames = Background(np.zeros((2000, 20), np.float32), stand_in.hop_s, other.fingerprint)
    with pytest.raises(InputError, match="background"):
        with_threshold(keyword, stand_in, 1, frames)


@pytest.mark.parametrize("hops", [0.5, 3])
def test_encoders_of_another_hop_have_their_own_background(
    hops, recording, say, hush, make_encoder, monkeypatch, tmp_path
):
    class Encoder(make_encoder):  # type: ignore[misc, valid-type]
        hop_s, fingerprint = hops * make_encoder.hop_s, f"{hops:g}"

        def frames(self, wave):
            frames = super().frames(wave)
            return frames[::3] if hops == 3 else frames.repeat(2, axis=0)

        def stream(self):
            return WholeStream(self)

    monkeypatch.setenv("EARMARK_BACKGROUND", str(recording))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    encoder = Encoder()
    found = enroll("rise", [say("rise", seed=seed) for seed in range(3)], encoder=encoder, false_alarms_per_hour=1)
    detector = Detector(found, encoder=encoder)
    assert load_background(encoder).hours == pytest.approx(240 / 3600, rel=0.01)
    (hit,) = detector.detect(np.concatenate([hush(2.0), say("rise", seed=9), hush(2.0), say("fall", seed=9)]))
    assert hit.end_s == pytest.approx(3.0, abs=0.3)


class WholeStream:
    """A stream that returns all frames at its end."""

    def __init__(self, encoder):
        self._encoder, self._waves = encoder, []

    def push(self, chunk):
        self._waves.append(chunk)
        return self._encoder.frames(np.zeros(0, np.float32))

    def finish(self):
        return self._encoder.frames(np.concatenate(self._waves)) if self._waves else self.push(np.zeros(0))


def test_progress_counts_the_background_and_the_threshold(say, recording, monkeypatch, tmp_path, make_encoder):
    monkeypatch.setenv("EARMARK_BACKGROUND", str(recording))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    encoder, stages = make_encoder(fingerprint="d6" * 24), []
    takes = [say("rise", seed=seed) for seed in range(3)]
    for _ in range(2):
        enroll("rise", takes, encoder=encoder, progress=lambda stage, *_: stages.append(stage))
    names = [stage.partition(" (")[0] for stage in stages]
    assert list(dict.fromkeys(names)) == ["preparing the background", "measuring the threshold"]
    last = len(names) - 1 - names[::-1].index("preparing the background")
    assert names.index("measuring the threshold") > last


def test_enrollment_measures_the_threshold_on_the_background(say, recording, stand_in):
    background = Background(stand_in.frames(audio.read(recording)), stand_in.hop_s, stand_in.fingerprint)
    takes = [say("rise", seed=seed) for seed in range(3)]
    measured = enroll("rise", takes, encoder=stand_in, background=background)
    assert measured.threshold == with_threshold(measured, stand_in, 0.5, background).threshold != 0.87
    assert enroll("rise", takes, encoder=stand_in, background=None).threshold == 0.87


def test_the_tail_of_a_pareto_distribution_gives_its_rates():
    # 20,000 events in 100 hours, of scale 0.05 and shape -0.1: 200 · (1 - 2 x)^10 of them exceed x in an hour.
    scores = np.sort(0.5 * (1 - np.random.default_rng(0).random(20_000) ** 0.1))[::-1].astype(np.float32)
    for rate in (0.05, 0.5, 10.0):
        assert fit_tail(scores, 100).threshold(rate) == pytest.approx(0.5 * (1 - (rate / 200) ** 0.1), abs=0.02)
    assert fit_tail(scores, 100).threshold(0.5) > fit_tail(scores, 100).threshold(10)
    with pytest.raises(EarmarkError, match="too short"):
        fit_tail([0.5], 1)


@given(
    scores=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=80),
    gap=st.integers(1, 12),
)
def test_peaks_are_apart_and_no_score_far_from_them_is_higher(scores, gap):
    curve = np.array(scores, np.float32)
    peaks = curve[peak_places(curve, gap)]
    assert list(peaks) == sorted(peaks, reverse=True)
    whole = curve[: len(curve) // gap * gap]
    assert (len(peaks) > 0) == (len(whole) > 0)
    if len(peaks):
        assert peaks[0] == whole.max()
