"""A keyword that answers to one voice alone."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.core.errors import InputError
from earmark.spotting.detector import Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrollment import enroll
from earmark.spotting.recent_audio import RecentAudio
from earmark.spotting.speaker_enrollment import enroll_speaker

SAID = (
    ("rise", "alice", 1.0),
    ("rise", "bob", 2.6),
    ("fall", "bob", 4.2),
    ("fall", "alice", 5.8),
    ("rise", "alice", 7.4),
)


@pytest.fixture(scope="module")
def encoder(make_encoder):
    return make_encoder()


@pytest.fixture(scope="module")
def voices(make_speaker_encoder):
    return make_speaker_encoder()


@pytest.fixture(scope="module")
def speakers(speak, voices):
    words = ("rise", "fall", "bow", "fall")
    return [
        enroll_speaker(name, [speak(word, name, seed=seed) for seed, word in enumerate(words)], encoder=voices)
        for name in ("alice", "bob")
    ]


@pytest.fixture(scope="module")
def words(speak, encoder):
    def takes(word):
        # A seed of its own for each take: the same word in two synthetic voices is nearly one recording.
        return [speak(word, name, seed=seed) for name, seeds in (("alice", (0, 1)), ("bob", (2, 3))) for seed in seeds]

    return {word: enroll(word, takes(word), encoder=encoder) for word in ("rise", "fall")}


@pytest.fixture(scope="module")
def stream(speak, hush):
    wave = hush(9.2)
    for seed, (word, voice, start_s) in enumerate(SAID, start=20):
        start = round(start_s * 16_000)
        wave[start : start + 9600] += speak(word, voice, before_s=0, after_s=0, noise_db=-90.0, seed=seed)
    return wave


def detections_of(detector, wave, cuts=()):
    found = [hit for chunk in np.split(wave, cuts) for hit in detector.push(chunk)]
    return found + detector.finish()


def rounded(detections):
    """Detections without the last digits of their numbers, which a matrix product may round otherwise."""
    shorter = [(hit, {"score": round(hit.score, 4), "probability": round(hit.probability, 3)}) for hit in detections]
    return [replace(hit, **numbers) for hit, numbers in shorter]


def restricted(word, speaker, **changes):
    return replace(word, only_speaker=speaker, **changes)


def said(*wanted):
    return [(word, pytest.approx(start_s, abs=0.2)) for word, voice, start_s in SAID if (word, voice) in wanted]


def test_a_restricted_keyword_is_detected_in_its_voice_with_a_speaker_score(words, encoder, speakers, voices, stream):
    keywords = [restricted(words["rise"], "alice"), restricted(words["fall"], "bob")]
    found = detections_of(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert [(hit.keyword, hit.start_s) for hit in found] == said(("rise", "alice"), ("fall", "bob"))
    for hit in found:
        assert hit.speaker == {"rise": "alice", "fall": "bob"}[hit.keyword]
        assert hit.speaker_score is not None
        assert hit.speaker_score >= 0.8


def test_another_keyword_is_still_detected_in_every_voice(words, encoder, speakers, voices, stream):
    free = detections_of(Detector([words["fall"]], encoder=encoder), stream)
    keywords = [restricted(words["rise"], "alice"), words["fall"]]
    both = detections_of(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert rounded(hit for hit in both if hit.keyword == "fall") == rounded(free)
    assert [(hit.speaker, hit.speaker_score) for hit in free] == [(None, None)] * 2


def test_without_a_restricted_keyword_no_voice_is_embedded(words, encoder, speakers, voices, stream):
    voices.embedded.clear()
    detector = Detector(list(words.values()), encoder=encoder, speakers=speakers, speaker_encoder=voices)
    assert len(detections_of(detector, stream)) == len(SAID)
    assert voices.embedded == []


def test_one_voice_is_embedded_per_peak(words, encoder, speakers, voices, stream):
    voices.embedded.clear()
    keywords = [restricted(words["rise"], "alice")]
    detections_of(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert len(voices.embedded) == 3
    assert max(voices.embedded) < 1.4 * 16_000


@given(cuts=st.lists(st.integers(0, 147_200), max_size=30).map(sorted))
@settings(max_examples=10)
def test_every_chunking_gives_the_same_speakers(words, encoder, speakers, voices, stream, cuts):
    keywords = [restricted(words["rise"], "alice"), restricted(words["fall"], "bob")]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices)
    whole, pieces = detections_of(detector, stream), detections_of(detector, stream, cuts)
    assert [(hit.keyword, hit.start_s, hit.end_s, hit.speaker, hit.speaker_score) for hit in whole] == [
        (hit.keyword, hit.start_s, hit.end_s, hit.speaker, hit.speaker_score) for hit in pieces
    ]


@pytest.mark.parametrize("length", [1, 7, 640, 1280, 5000])
def test_chunks_of_any_length_give_the_same_speaker_at_the_end(words, encoder, speakers, voices, speak, length):
    wave = speak("rise", "alice", before_s=0.1, after_s=0.0, seed=31)[: 4_000 if length < 7 else None]
    keywords = [restricted(words["rise"], "alice", threshold=0.6)]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices)
    assert rounded(detections_of(detector, wave, range(length, len(wave), length))) == rounded(
        detections_of(detector, wave)
    )


def test_one_word_may_be_two_keywords_of_two_voices(words, encoder, speakers, voices, stream):
    keywords = [restricted(words["rise"], name, name=f"{name}'s rise") for name in ("alice", "bob")]
    found = detections_of(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert [hit.keyword for hit in found] == ["alice's rise", "bob's rise", "alice's rise"]


def test_old_audio_is_dropped(words, encoder, speakers, voices, stream):
    detector = Detector(
        [restricted(words["rise"], "alice")], encoder=encoder, speakers=speakers, speaker_encoder=voices
    )
    chunks = np.split(np.tile(stream, 4), range(1280, 4 * len(stream), 1280))

    def memory_after(count):
        for chunk in chunks[:count]:
            detector.push(chunk)
        size = tracemalloc.get_traced_memory()[0]
        detector.finish()
        return size

    memory_after(20)
    tracemalloc.start()
    try:
        few, many = memory_after(len(chunks) // 2), memory_after(len(chunks))
    finally:
        tracemalloc.stop()
    assert many - few < 4 * 16_000 * 4  # float32 audio of four seconds; 18 seconds more were pushed


def test_recent_audio_keeps_the_margin_of_later_peaks(encoder, stream):
    recent = RecentAudio(encoder.lag_s)
    recent.push(stream)
    recent.drop(64_000)
    assert recent.kept_s == pytest.approx(len(stream) / 16_000 - 4.0 + 0.3)
    recent.drop(32_000)
    assert recent.kept_s == pytest.approx(len(stream) / 16_000 - 4.0 + 0.3)
    wave, start_s = recent.around(64_000, 72_000)
    assert start_s == 0.3
    np.testing.assert_array_equal(wave, stream[64_000 - 4800 : 72_000 + round(16_000 * min(0.3, encoder.lag_s))])


def test_scores_do_not_depend_on_the_speaker(words, encoder, speakers, voices, stream):
    keyword = restricted(words["rise"], "alice")
    ours = Detector([keyword], encoder=encoder, speakers=speakers, speaker_encoder=voices).scores(stream)
    np.testing.assert_array_equal(ours[1], Detector([words["rise"]], encoder=encoder).scores(stream)[1])


def test_a_stricter_speaker_lets_less_through(words, encoder, speakers, voices, stream):
    strict = [replace(speaker, threshold=1.01) for speaker in speakers]
    keywords = [restricted(words["rise"], "alice")]
    assert detections_of(Detector(keywords, encoder=encoder, speakers=strict, speaker_encoder=voices), stream) == []
    lax = [replace(speaker, threshold=-1) for speaker in speakers]
    found = detections_of(Detector(keywords, encoder=encoder, speakers=lax, speaker_encoder=voices), stream)
    assert [hit.start_s for hit in found] == [start_s for _, start_s in said(("rise", "alice"), ("rise", "bob"))]


def test_a_missing_speaker_or_one_of_another_encoder_is_refused(words, encoder, speakers, voices, make_speaker_encoder):
    keyword = restricted(words["rise"], "carol")
    with pytest.raises(InputError, match=r"'rise' .*'carol'.*earmark speakers enroll carol FILE"):
        Detector([keyword], encoder=encoder, speakers=speakers, speaker_encoder=voices)
    other = make_speaker_encoder(name="new", fingerprint="f" * 16)
    with pytest.raises(InputError, match=r"speaker 'alice' was enrolled with encoder b01ce5.*reembed"):
        Detector([restricted(words["rise"], "Alice")], encoder=encoder, speakers=speakers, speaker_encoder=other)
    # Those to whom no keyword answers may be of any encoder.
    Detector([words["rise"]], encoder=encoder, speakers=speakers, speaker_encoder=other)


def test_a_refusal_is_reported_with_its_speaker_score(words, encoder, speakers, voices, stream):
    refused: list[Any] = []
    keywords = [restricted(words["rise"], "alice"), restricted(words["fall"], "bob")]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices, on_refusal=refused.append)
    assert len(detections_of(detector, stream, [9_000, 70_000])) == 3
    assert [(hit.keyword, hit.start_s) for hit in refused] == said(("rise", "bob"), ("fall", "alice"))
    assert [hit.speaker for hit in refused] == ["alice", "bob"]
    assert max(hit.speaker_score for hit in refused) < 0.8


def test_names_of_speakers_are_compared_without_regard_to_case(words, encoder, speakers, voices, stream):
    keywords = [restricted(words["rise"], "ALICE")]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices)
    assert len(detections_of(detector, stream)) == 2


def test_the_speaker_is_detected_right_after_a_refused_voice(words, encoder, speakers, voices, speak, hush):
    wave = hush(4.0)
    for voice, start_s in (("bob", 1.0), ("alice", 1.75)):
        start = round(start_s * 16_000)
        wave[start : start + 9600] += speak("rise", voice, before_s=0, after_s=0, noise_db=-90.0, seed=3)
    keywords = [restricted(words["rise"], "alice")]
    resting = DetectorSettings(refractory_s=3.0)
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices, settings=resting)
    (hit,) = detections_of(detector, wave)
    assert hit.start_s == pytest.approx(1.75, abs=0.25)
