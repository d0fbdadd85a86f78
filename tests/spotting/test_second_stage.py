"""The second stage with a stand-in verifier: band energies every 20 ms."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.core import audio
from earmark.models import verifier as verifier_module
from earmark.spotting.background import Background, background_events, read_background, with_threshold
from earmark.spotting.detector import Detection, Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrollment import enroll, extend, reembed
from earmark.spotting.keyword import Keyword, joint_take_scores, with_negatives
from earmark.spotting.keyword_calibration import VerifierCalibration
from earmark.spotting.learning import drop_negative, drop_take, mark_false, set_threshold
from earmark.spotting.peaks import Peak
from earmark.spotting.recent_audio import RecentAudio
from earmark.spotting.second_stage import SecondStage
from earmark.spotting.takes import Take
from earmark.spotting.verifier_scores import embed_with_verifier, similarity

RATE = 60.0
HOP = 320


class StandInVerifier:
    """Follows the interface of `earmark.models.verifier.Verifier`."""

    fingerprint, hop_s, dimension = "5ec0" * 4, HOP / 16_000, 24

    def __init__(self) -> None:
        self.calls = 0

    def frames(self, wave: Any) -> Any:
        self.calls += 1
        count = max(1, len(wave) // HOP)
        padded = np.pad(wave, (0, max(0, (count + 1) * HOP - len(wave))))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP][:count]
        spectrum = np.abs(np.fft.rfft(windows * np.hanning(2 * HOP)))[:, 1:]
        edges = np.geomspace(4, spectrum.shape[1] - 1, self.dimension + 1).astype(int)
        levels = np.log(np.add.reduceat(spectrum, edges[:-1], axis=1) + 1e-1)
        return (levels - levels.mean()).astype(np.float32)


@pytest.fixture(scope="module")
def stand_in(make_encoder: Any) -> Any:
    return make_encoder()


@pytest.fixture(scope="module")
def verifier() -> Iterator[StandInVerifier]:
    """Takes the place of the shipped verifier."""
    stand_in = StandInVerifier()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifier_module, "shipped_verifier", lambda: stand_in)
        yield stand_in


@pytest.fixture(scope="module")
def room(say: Any, hush: Any, stand_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Background:
    """Four minutes of other words, with their recording."""
    wave = hush(240.0)
    for number, start in enumerate(range(16_000, 238 * 16_000, 24_000)):
        word = say(("fall", "bow")[number % 2], before_s=0, after_s=0, noise_db=-90.0, seed=number)
        wave[start : start + 9600] += word[:9600]
    path = tmp_path_factory.mktemp("room") / "room.wav"
    audio.write(path, wave)
    return read_background(path, stand_in)


@pytest.fixture(scope="module")
def keyword(say: Any, stand_in: Any, room: Background, verifier: Any) -> Keyword:
    assert verifier_module.shipped_verifier() is verifier
    takes = [say("rise", seed=seed) for seed in range(3)]
    return enroll("rise", takes, encoder=stand_in, background=room, false_alarms_per_hour=RATE)


@pytest.fixture(scope="module")
def stream(say: Any, hush: Any) -> Any:
    """Twelve seconds in which words are said, each for 0.6 s."""
    wave = hush(12.0)
    for seed, (word, start_s) in enumerate(
        [("rise", 1.0), ("fall", 3.0), ("rise", 5.5), ("bow", 7.0), ("rise", 9.5)], start=20
    ):
        start = round(start_s * 16_000)
        wave[start : start + 9600] += say(word, before_s=0, after_s=0, noise_db=-90.0, seed=seed)
    return wave


def detections(keyword: Keyword, encoder: Any, wave: Any, cuts: Any = (), **how: Any) -> list[Detection]:
    detector = Detector(keyword, encoder=encoder, settings=DetectorSettings(**how))
    found = [hit for chunk in np.split(wave, cuts) for hit in detector.push(chunk)]
    return found + detector.finish()


def calibration_of(keyword: Keyword) -> VerifierCalibration:
    found = keyword.calibration.verifier
    assert found is not None
    return found


def test_words_are_detected_with_the_scores_of_both_stages(
    keyword: Keyword, stand_in: Any, stream: Any, verifier: StandInVerifier
) -> None:
    alone = detections(keyword, stand_in, stream, verify=False)
    calls = verifier.calls
    both = detections(keyword, stand_in, stream)
    assert verifier.calls > calls
    assert [hit.start_s for hit in both] == [hit.start_s for hit in alone]
    assert len(both) == 3
    assert all(hit.verifier_score is None for hit in alone)
    for first, hit in zip(alone, both, strict=True):
        assert hit.verifier_score is not None
        joint = (first.score + hit.verifier_score) / 2
        assert hit.score == pytest.approx(calibration_of(keyword).score(joint), abs=1e-5)


def test_nothing_is_verified_while_nobody_speaks(
    keyword: Keyword, stand_in: Any, hush: Any, verifier: StandInVerifier
) -> None:
    calls = verifier.calls
    assert detections(keyword, stand_in, hush(20.0), threshold=-1.0) == []
    assert verifier.calls == calls


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, 12 * 16_000), max_size=6).map(sorted))
def test_every_chunking_gives_the_same_detections(cuts: list[int], chunked: tuple[Any, ...]) -> None:
    keyword, encoder, wave, expected = chunked
    assert detections(keyword, encoder, wave, cuts) == expected


@pytest.fixture(scope="module")
def chunked(keyword: Keyword, stand_in: Any, stream: Any) -> tuple[Any, ...]:
    return keyword, stand_in, stream, detections(keyword, stand_in, stream)


def test_a_lower_threshold_loses_no_detection(keyword: Keyword, stand_in: Any, stream: Any) -> None:
    found: list[set[float]] = []
    for threshold in (1.0, 0.9, 0.75, 0.6, 0.4, 0.0, -1.0):
        found.append({hit.end_s for hit in detections(keyword, stand_in, stream, threshold=threshold)})
    for higher, lower in pairwise(found):
        assert higher <= lower
    assert len(found[-1]) > len(found[0])


def test_background_reaches_the_threshold_as_often_as_asked(keyword: Keyword, room: Background) -> None:
    found = calibration_of(keyword)
    # Three takes that agree raise the threshold, and that lowers the rate.
    assert found.tail.rate(keyword.threshold) <= RATE
    assert found.tail.hours == pytest.approx(room.hours)
    assert found.candidate < keyword.threshold
    assert found.expected_misses is not None
    assert found.logistic is not None


@pytest.mark.usefixtures("verifier")
def test_two_takes_leave_the_threshold_at_the_rate(say: Any, stand_in: Any, room: Background) -> None:
    takes = [say("rise", seed=seed) for seed in range(2)]
    keyword = enroll("rise", takes, encoder=stand_in, background=room, false_alarms_per_hour=RATE)
    assert calibration_of(keyword).tail.rate(keyword.threshold) == pytest.approx(RATE, rel=1e-3)


def test_candidates_are_the_events_of_a_higher_rate(keyword: Keyword, room: Background, stand_in: Any) -> None:
    events = background_events(replace(keyword, verifier=None), stand_in, room)
    passed = np.count_nonzero(events >= calibration_of(keyword).candidate)
    assert passed >= min(len(events), 40)


def test_without_a_recording_or_a_verifier_the_first_stage_counts(
    say: Any, stand_in: Any, room: Background, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = [say("rise", seed=seed) for seed in range(3)]
    how: dict[str, Any] = {"encoder": stand_in, "false_alarms_per_hour": RATE}
    monkeypatch.setattr(verifier_module, "shipped_verifier", lambda: None)
    plain = enroll("rise", takes, background=room, **how)
    monkeypatch.setattr(verifier_module, "shipped_verifier", StandInVerifier)
    silent = enroll("rise", takes, background=replace(room, recording=None), **how)
    refused = enroll("rise", takes, background=room, verify=False, **how)
    for one in (plain, silent, refused):
        assert one.verifier is None
        assert one.calibration.verifier is None
        assert {hit.verifier_score for hit in detections(one, stand_in, stream)} == {None}
    assert plain.threshold == silent.threshold == refused.threshold


def test_the_threshold_is_the_same_with_and_without_the_verifier(
    keyword: Keyword, say: Any, stand_in: Any, room: Background
) -> None:
    takes = [say("rise", seed=seed) for seed in range(3)]
    plain = enroll("rise", takes, encoder=stand_in, background=room, false_alarms_per_hour=RATE, verify=False)
    assert plain.threshold == keyword.threshold
    assert plain.calibration.tail == keyword.calibration.tail


def test_a_keyword_enrolled_without_the_verifier_gets_it(keyword: Keyword, stand_in: Any, room: Background) -> None:
    earlier = replace(keyword, verifier=None, calibration=replace(keyword.calibration, verifier=None))
    again = reembed(earlier, stand_in, background=room)
    assert calibration_of(again) == calibration_of(keyword)
    assert again.verifier is not None
    assert reembed(keyword, stand_in, background=room, verify=False).verifier is None


def test_takes_and_negatives_keep_their_rows(keyword: Keyword, say: Any, stand_in: Any, room: Background) -> None:
    def rows(one: Keyword) -> tuple[int, int]:
        assert one.verifier is not None
        return len(one.verifier.parts), len(one.verifier.negative_parts)

    longer = extend(keyword, [say("rise", seed=9)], encoder=stand_in, background=room)
    assert rows(longer) == (4, 0)
    assert rows(drop_take(longer, 2, stand_in, background=room)) == (3, 0)
    marked = mark_false(longer, say("bow", seed=5), stand_in)
    assert rows(marked) == (4, len(marked.negatives))
    assert rows(drop_negative(marked, 1)) == (4, len(marked.negatives) - 1)
    chosen = set_threshold(marked, 0.8)
    assert rows(drop_take(chosen, 1, stand_in, background=room)) == (3, len(marked.negatives))
    assert calibration_of(chosen) == calibration_of(marked)


def test_a_negative_lowers_the_score_of_what_it_resembles(
    keyword: Keyword, say: Any, stand_in: Any, verifier: Any
) -> None:
    wave, span = say("bow", seed=3), (0.5, 1.1)
    assert keyword.verifier is not None
    before = similarity(keyword.verifier, keyword.duration_s, verifier, wave, *span)
    negative: Any = Take(say("bow", seed=4), *span)
    embedded = embed_with_verifier(keyword.takes, verifier, negatives=[negative])
    assert similarity(embedded, keyword.duration_s, verifier, wave, *span) < before
    assert with_negatives(keyword, [], stand_in).verifier is not None


def test_the_order_of_sounds_counts(say: Any, verifier: Any) -> None:
    words = [
        np.concatenate([say(one, before_s=0, after_s=0), say(two, before_s=0, after_s=0)])
        for one, two in (("rise", "bow"), ("bow", "rise"))
    ]
    span = 0.0, len(words[0]) / 16_000
    embedded = embed_with_verifier([Take(words[0], *span)], verifier)
    same, swapped = (similarity(embedded, span[1], verifier, wave, *span) for wave in words)
    assert same > 0.95
    assert swapped < same - 0.2


def test_joint_scores_of_takes_need_two(keyword: Keyword) -> None:
    scores = joint_take_scores(keyword)
    assert scores is not None
    assert scores.shape == (3,)
    assert ((scores > 0.5) & (scores <= 1)).all()
    assert keyword.verifier is not None
    assert keyword.parts is not None
    single = replace(
        keyword, takes=keyword.takes[:1], parts=keyword.parts[:1], verifier=keyword.verifier.without(2).without(1)
    )
    assert joint_take_scores(single) is None


@pytest.mark.parametrize(("spent_s", "is_on"), [(0.14, True), (0.16, False)])
def test_a_slow_processor_switches_it_off_with_one_warning(
    keyword: Keyword, verifier: Any, stream: Any, spent_s: float, is_on: bool
) -> None:
    readings = (spent_s * number for number in count())
    second = SecondStage([keyword], np.array([keyword.threshold], np.float32), verifier, clock=lambda: next(readings))
    recent = RecentAudio(0.3)
    recent.push(stream)
    peak = Peak(0, 16_000, 25_600, 0.9)
    for _ in range(2):
        assert second.verify(peak, recent).verifier_score is not None
    if is_on:
        second.verify(peak, recent)
    else:
        with pytest.warns(UserWarning, match="no-verify"):
            second.verify(peak, recent)
    verified = second.verify(peak, recent)
    assert (verified.verifier_score is not None) == is_on
    assert is_on or verified == peak


def test_a_keyword_of_another_verifier_is_not_verified(keyword: Keyword, verifier: Any) -> None:
    verifier.fingerprint = "0" * 16
    second = SecondStage([keyword], np.array([keyword.threshold], np.float32), verifier)
    assert second.levels.tolist() == pytest.approx([keyword.threshold])


def test_a_rate_above_that_of_the_candidates_has_more_of_them(
    keyword: Keyword, stand_in: Any, room: Background
) -> None:
    often = with_threshold(keyword, stand_in, 100.0, room)
    assert calibration_of(often).candidate <= calibration_of(keyword).candidate
    assert often.threshold < keyword.threshold


def test_recordings_of_the_background_are_read_from_disk(room: Background) -> None:
    assert isinstance(room.recording, Path)
