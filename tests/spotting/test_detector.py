from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from earmark.core import audio
from earmark.core.audio import AudioError
from earmark.core.errors import InputError
from earmark.spotting.detector import Detection, Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrollment import enroll
from earmark.spotting.scoring import StreamScorer, Windows

SAID = (("rise", 1.0), ("fall", 3.2), ("bow", 4.9), ("rise", 6.6), ("rise", 7.8))


@pytest.fixture(scope="module")
def encoder(make_encoder):
    return make_encoder()


@pytest.fixture(scope="module")
def keywords(say, encoder):
    return [
        enroll(word, [say(word, seed=seed) for seed in range(3)], encoder=encoder) for word in ("rise", "fall", "bow")
    ]


@pytest.fixture(scope="module")
def stream(say, hush):
    """Ten seconds in which words are said, each for 0.6 s."""
    wave = hush(10.0)
    for seed, (word, start_s) in enumerate(SAID, start=20):
        start = round(start_s * 16_000)
        wave[start : start + 9600] += say(word, before_s=0, after_s=0, noise_db=-90.0, seed=seed)
    return wave


def detections_of(detector, wave, cuts=()):
    found = [hit for chunk in np.split(wave, cuts) for hit in detector.push(chunk)]
    return found + detector.finish()


def test_each_word_is_detected_once_at_its_time(keywords, encoder, stream):
    found = detections_of(Detector(keywords, encoder=encoder), stream)
    assert [hit.keyword for hit in found] == [word for word, _ in SAID]
    for hit, (_, start_s) in zip(found, SAID, strict=True):
        assert hit.start_s == pytest.approx(start_s, abs=0.2)
        assert hit.end_s == pytest.approx(start_s + 0.6, abs=0.2)
        assert 0.85 <= hit.score <= 1
        assert 0.5 <= hit.probability < 1


@pytest.mark.slow
@given(cuts=st.lists(st.integers(0, 160_000), max_size=30).map(sorted))
@settings(max_examples=25)
def test_every_chunking_gives_the_same_detections(keywords, encoder, stream, cuts):
    detector = Detector(keywords, encoder=encoder)
    whole, pieces = detections_of(detector, stream), detections_of(detector, stream, cuts)
    assert [(hit.keyword, hit.start_s, hit.end_s) for hit in whole] == [
        (hit.keyword, hit.start_s, hit.end_s) for hit in pieces
    ]
    np.testing.assert_allclose([hit.score for hit in whole], [hit.score for hit in pieces], atol=1e-4)


@pytest.mark.parametrize("length", [1, 7, 640, 1280, 5000])
def test_a_stream_in_chunks_has_the_scores_of_the_whole_wave(keywords, encoder, stream, length):
    wave = stream[: 8_000 if length < 10 else 64_000]
    times_s, offline = Detector(keywords, encoder=encoder).scores(wave)
    scorer, frames = StreamScorer(Windows(keywords, encoder, DetectorSettings().tempos), 3), encoder.stream()
    chunks = [frames.push(chunk) for chunk in np.split(wave, range(length, len(wave), length))]
    pushed = [scores for chunk in (*chunks, frames.finish()) for scores, _, _ in scorer.push(chunk)]
    np.testing.assert_allclose(np.concatenate(pushed), offline, atol=1e-4)
    np.testing.assert_allclose(times_s, (np.arange(len(offline)) + 1) * 0.04, atol=1e-5)


def test_scores_compare_the_whole_window_its_quarters_and_its_halves(keywords, encoder, stream):
    """Against the definition, window by window: words of 0.6 s to 0.9 s, whose halves may limit the score."""
    _, scores = Detector(keywords, encoder=encoder).scores(stream)
    frames = encoder.frames(stream)
    for column, keyword in enumerate(keywords):
        assert keyword.parts.shape == (3, 7, encoder.dimension)
        d = keyword.duration_s
        weight = 0.5 * min(1, max(0, (d - 0.6) / 0.3))
        allowance, few = 2 * max(0, 1 - d), 0.25 / 3 - 0.05
        raw = np.full(len(frames), -1.0)
        for tempo in (0.7, 0.85, 1.0, 1.2, 1.4):
            length = round(tempo * d / 0.04)
            borders = np.round(np.arange(5) * length / 4).astype(int)

            def similarity(part, first, last, length=length, borders=borders, keyword=keyword):
                stops = np.arange(1, len(frames) + 1) - length + borders[last]
                prototype = keyword.parts[:, part].mean(axis=0)
                return encoder.embed_windows(frames, stops, borders[last] - borders[first]) @ (
                    prototype / np.linalg.norm(prototype)
                )

            quarters = [similarity(1 + i, i, i + 1) for i in range(4)]
            halves = np.minimum(similarity(5, 0, 2), similarity(6, 2, 4))
            score = (1 - weight) * similarity(0, 0, 4) + weight * np.mean(quarters, axis=0)
            if weight >= 0.1:
                score = np.minimum(score, np.min(quarters, axis=0) + 0.2 + 0.6 * (0.5 - weight) + few)
            raw = np.maximum(raw, np.minimum(score, halves + allowance + few) if allowance < 0.3 else score)
        slow = np.convolve(raw, np.ones(3) / 3)[: len(raw)]
        np.testing.assert_allclose(scores[30:, column], slow[30:], atol=1e-5)


def test_scores_do_not_change_the_stream(keywords, encoder, stream):
    detector = Detector(keywords, encoder=encoder)
    expected = detections_of(detector, stream)
    found = detector.push(stream[:50_000])
    detector.scores(stream)
    assert found + detections_of(detector, stream[50_000:]) == expected


def test_a_whole_recording_is_detected_from_a_wave_or_a_file(keywords, encoder, stream, tmp_path):
    detector = Detector(keywords, encoder=encoder)
    expected = detections_of(detector, stream)
    detector.push(stream[:90_000])  # dropped: a recording is a stream of its own
    assert [*detector.detect(stream)] == expected
    audio.write(tmp_path / "a.wav", stream)
    calls = []
    found = [*detector.detect(tmp_path / "a.wav", progress=lambda *call: calls.append(call))]
    assert [(hit.keyword, hit.start_s) for hit in found] == [(hit.keyword, hit.start_s) for hit in expected]
    assert calls[-1] == ("detecting (a.wav)", 10.0, 10.0)
    assert detector.scores(str(tmp_path / "a.wav"))[1].shape == detector.scores(stream)[1].shape


def test_one_keyword_needs_no_list_and_other_things_are_refused(keywords, encoder):
    assert Detector(keywords[0], encoder=encoder).keywords == (keywords[0],)
    with pytest.raises(InputError, match=r"^keywords: .*earmark\.enroll"):
        Detector(["rise"], encoder=encoder)  # type: ignore[list-item]


def test_finish_begins_a_new_stream(keywords, encoder, stream):
    detector = Detector(keywords, encoder=encoder)
    assert detections_of(detector, stream) == detections_of(detector, stream)


def test_scores_do_not_depend_on_the_block_length(keywords, encoder, stream):
    _, expected = Detector(keywords, encoder=encoder).scores(stream)
    scorer = StreamScorer(Windows(keywords, encoder, DetectorSettings().tempos), 3, block=17)
    scores = np.concatenate([scores for scores, _, _ in scorer.push(encoder.frames(stream))])
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_int16_chunks_are_accepted(keywords, encoder, stream):
    found = detections_of(Detector(keywords, encoder=encoder), np.round(stream * 32_767).astype(np.int16))
    assert [hit.keyword for hit in found] == [word for word, _ in SAID]


@pytest.mark.parametrize("chunk", [np.zeros((2, 100)), np.full(100, np.nan), np.array(["a"])])
def test_a_chunk_that_is_not_audio_is_refused(keywords, encoder, chunk):
    with pytest.raises(AudioError):
        Detector(keywords, encoder=encoder).push(chunk)


def test_empty_and_silent_streams_say_nothing(keywords, encoder):
    detector = Detector(keywords, encoder=encoder)
    assert detections_of(detector, np.zeros(0, np.float32)) == []
    assert detections_of(detector, np.zeros(80_000, np.float32)) == []
    times_s, scores = detector.scores(np.zeros(0, np.float32))
    assert (times_s.shape, scores.shape) == ((0,), (0, 3))


def test_a_word_at_the_start_and_at_the_end_is_detected(keywords, encoder, say):
    detector = Detector(keywords, encoder=encoder, settings=DetectorSettings(threshold=0.7))
    (hit,) = detections_of(detector, say("fall", before_s=0.0, after_s=1.0, seed=30))
    assert (hit.keyword, hit.start_s) == ("fall", pytest.approx(0, abs=0.1))
    (hit,) = detections_of(detector, say("fall", before_s=1.0, after_s=0.0, seed=31))
    assert hit.keyword == "fall"


def test_the_threshold_can_be_set_for_all(keywords, encoder, stream):
    assert detections_of(Detector(keywords, encoder=encoder, settings=DetectorSettings(threshold=1.0)), stream) == []


def test_similar_keywords_are_detected_once_unless_not_exclusive(keywords, encoder, stream, say):
    twin = enroll("twin", [say("rise", seed=9)], encoder=encoder)
    both = [keywords[0], twin]
    assert len(detections_of(Detector(both, encoder=encoder), stream)) == 3
    every = detections_of(Detector(both, encoder=encoder, settings=DetectorSettings(exclusive=False)), stream)
    assert len(every) == 6


def test_of_similar_keywords_the_one_that_exceeds_its_threshold_most_is_detected(keywords, encoder, stream):
    strict, lax = (
        replace(keywords[0], name=name, threshold=threshold) for name, threshold in (("strict", 0.8), ("lax", 0.7))
    )
    assert {hit.keyword for hit in detections_of(Detector([strict, lax], encoder=encoder), stream)} == {"lax"}
    assert {hit.keyword for hit in detections_of(Detector(strict, encoder=encoder), stream)} == {"strict"}


def test_a_lower_threshold_loses_no_detection(keywords, encoder, stream):
    found: list[Detection] = []
    for threshold in (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.0):
        settings = DetectorSettings(threshold=threshold)
        more = [
            hit
            for word in keywords
            for hit in detections_of(Detector(word, encoder=encoder, settings=settings), stream)
        ]
        for hit in found:
            assert any(
                other.keyword == hit.keyword
                and min(hit.end_s, other.end_s) - max(hit.start_s, other.start_s)
                > min(hit.end_s - hit.start_s, other.end_s - other.start_s) / 2
                for other in more
            )
        found = more


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_a_word_said_twice_with_a_pause_is_detected_twice(keywords, encoder, say, hush, threshold):
    wave = hush(4.0)
    for start in (16_000, 16_000 + 9600 + 8000):
        wave[start : start + 9600] += say("rise", before_s=0, after_s=0, noise_db=-90.0, seed=start)
    detector = Detector(keywords[0], encoder=encoder, settings=DetectorSettings(threshold=threshold))
    found = [hit for hit in detections_of(detector, wave) if hit.score > 0.8]
    assert [hit.start_s for hit in found] == [pytest.approx(1.0, abs=0.2), pytest.approx(2.1, abs=0.2)]


def test_keywords_of_another_encoder_are_refused_with_the_cure(keywords, make_encoder):
    with pytest.raises(InputError, match=r"'rise' was enrolled with encoder 57a4d1.*not with 'new'.*reembed"):
        Detector(keywords, encoder=make_encoder(name="new", fingerprint="f" * 48))


def test_no_keywords_twins_by_name_and_a_card_without_calibration_are_refused(keywords, encoder, make_encoder):
    with pytest.raises(InputError, match=r"^keywords: .*earmark enroll"):
        Detector([], encoder=encoder)
    with pytest.raises(InputError, match=r"^keywords: 'rise'"):
        Detector([keywords[0], keywords[0]], encoder=encoder)
    with pytest.raises(InputError, match="no calibration"):
        Detector(keywords, encoder=make_encoder(card={}))


@pytest.mark.parametrize(
    "wrong",
    [{"tempos": ()}, {"tempos": (0.0,)}, {"smoothing_s": -1}, {"threshold": 2}, {"hold": 1}, {"refractory_s": -1}],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValidationError):
        DetectorSettings(**wrong)
