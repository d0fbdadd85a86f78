"""A keyword that answers to one voice alone."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.core.errors import InputError
from earmark.spotting.detector import Detector, DetectorSettings
from earmark.spotting.enrollment import enroll, enroll_speaker
from earmark.spotting.speaker_gate import SpeakerGate

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
        return [speak(word, name, seed=seed) for name in ("alice", "bob") for seed in range(2)]

    return {word: enroll(word, takes(word), encoder=encoder) for word in ("rise", "fall")}


@pytest.fixture(scope="module")
def stream(speak, hush):
    wave = hush(9.2)
    for seed, (word, voice, start_s) in enumerate(SAID, start=20):
        start = round(start_s * 16_000)
        wave[start : start + 9600] += speak(word, voice, before_s=0, after_s=0, noise_db=-90.0, seed=seed)
    return wave


def listen(detector, wave, cuts=()):
    heard = [hit for chunk in np.split(wave, cuts) for hit in detector.push(chunk)]
    return heard + detector.finish()


def told(detections):
    """Detections without the last digits of their numbers, which a matrix product may round otherwise."""
    shorter = [(hit, {"score": round(hit.score, 4), "probability": round(hit.probability, 3)}) for hit in detections]
    return [replace(hit, **numbers) for hit, numbers in shorter]


def gated(word, speaker, **changes):
    return replace(word, only_speaker=speaker, **changes)


def said(*wanted):
    return [(word, pytest.approx(start_s, abs=0.2)) for word, voice, start_s in SAID if (word, voice) in wanted]


def test_a_gated_keyword_fires_for_its_voice_and_says_how_alike_that_was(words, encoder, speakers, voices, stream):
    keywords = [gated(words["rise"], "alice"), gated(words["fall"], "bob")]
    heard = listen(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert [(hit.keyword, hit.start_s) for hit in heard] == said(("rise", "alice"), ("fall", "bob"))
    for hit in heard:
        assert hit.speaker == {"rise": "alice", "fall": "bob"}[hit.keyword]
        assert hit.speaker_score is not None
        assert hit.speaker_score >= 0.8


def test_beside_it_an_ungated_keyword_fires_for_every_voice_as_before(words, encoder, speakers, voices, stream):
    free = listen(Detector([words["fall"]], encoder=encoder), stream)
    keywords = [gated(words["rise"], "alice"), words["fall"]]
    both = listen(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert told(hit for hit in both if hit.keyword == "fall") == told(free)
    assert [(hit.speaker, hit.speaker_score) for hit in free] == [(None, None)] * 2


def test_without_a_gated_keyword_no_voice_is_heard_and_no_sound_kept(words, encoder, speakers, voices, stream):
    voices.heard.clear()
    detector = Detector(list(words.values()), encoder=encoder, speakers=speakers, speaker_encoder=voices)
    assert len(listen(detector, stream)) == len(SAID)
    assert voices.heard == []


def test_the_voice_is_heard_once_for_each_time_the_word_is(words, encoder, speakers, voices, stream):
    voices.heard.clear()
    keywords = [gated(words["rise"], "alice")]
    listen(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert len(voices.heard) == 3
    assert max(voices.heard) < 1.4 * 16_000


@given(cuts=st.lists(st.integers(0, 147_200), max_size=30).map(sorted))
@settings(max_examples=25)
def test_any_chunking_hears_the_same_voices(words, encoder, speakers, voices, stream, cuts):
    keywords = [gated(words["rise"], "alice"), gated(words["fall"], "bob")]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices)
    whole, pieces = listen(detector, stream), listen(detector, stream, cuts)
    assert [(hit.keyword, hit.start_s, hit.end_s, hit.speaker, hit.speaker_score) for hit in whole] == [
        (hit.keyword, hit.start_s, hit.end_s, hit.speaker, hit.speaker_score) for hit in pieces
    ]


@pytest.mark.parametrize("length", [1, 7, 640, 1280, 5000])
def test_chunks_of_any_length_hear_the_same_voice_at_the_very_end(words, encoder, speakers, voices, speak, length):
    wave = speak("rise", "alice", before_s=0.1, after_s=0.0, seed=31)[: 4_000 if length < 7 else None]
    keywords = [gated(words["rise"], "alice", threshold=0.6)]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices)
    assert told(listen(detector, wave, range(length, len(wave), length))) == told(listen(detector, wave))


def test_one_word_may_be_two_keywords_of_two_voices(words, encoder, speakers, voices, stream):
    keywords = [gated(words["rise"], name, name=f"{name}'s rise") for name in ("alice", "bob")]
    heard = listen(Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices), stream)
    assert [hit.keyword for hit in heard] == ["alice's rise", "bob's rise", "alice's rise"]


def test_old_audio_is_dropped(words, encoder, speakers, voices, stream):
    detector = Detector([gated(words["rise"], "alice")], encoder=encoder, speakers=speakers, speaker_encoder=voices)
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


def test_the_gate_keeps_the_margin_of_the_peaks_to_come(encoder, speakers, voices, stream):
    gate = SpeakerGate(["alice"], speakers, voices, encoder)
    gate.push(stream)
    gate.drop(100)
    assert gate.kept_s == pytest.approx(len(stream) / 16_000 - 100 * encoder.hop_s + 0.3)
    gate.drop(50)
    assert gate.kept_s == pytest.approx(len(stream) / 16_000 - 100 * encoder.hop_s + 0.3)


def test_scores_are_those_of_the_word_whoever_says_it(words, encoder, speakers, voices, stream):
    keyword = gated(words["rise"], "alice")
    ours = Detector([keyword], encoder=encoder, speakers=speakers, speaker_encoder=voices).scores(stream)
    np.testing.assert_array_equal(ours[1], Detector([words["rise"]], encoder=encoder).scores(stream)[1])


def test_a_stricter_speaker_lets_less_through(words, encoder, speakers, voices, stream):
    strict = [replace(speaker, threshold=1.01) for speaker in speakers]
    keywords = [gated(words["rise"], "alice")]
    assert listen(Detector(keywords, encoder=encoder, speakers=strict, speaker_encoder=voices), stream) == []
    lax = [replace(speaker, threshold=-1) for speaker in speakers]
    heard = listen(Detector(keywords, encoder=encoder, speakers=lax, speaker_encoder=voices), stream)
    assert [hit.start_s for hit in heard] == [start_s for _, start_s in said(("rise", "alice"), ("rise", "bob"))]


def test_a_missing_speaker_or_one_of_another_encoder_is_told_with_the_cure(
    words, encoder, speakers, voices, make_speaker_encoder
):
    keyword = gated(words["rise"], "carol")
    with pytest.raises(InputError, match=r"'rise' .*'carol'.*earmark speakers enroll carol FILE"):
        Detector([keyword], encoder=encoder, speakers=speakers, speaker_encoder=voices)
    other = make_speaker_encoder(name="new", fingerprint="f" * 16)
    with pytest.raises(InputError, match=r"speaker 'alice' was enrolled with encoder b01ce5.*reembed"):
        Detector([gated(words["rise"], "Alice")], encoder=encoder, speakers=speakers, speaker_encoder=other)
    # Those to whom no keyword answers may be of any encoder.
    Detector([words["rise"]], encoder=encoder, speakers=speakers, speaker_encoder=other)


def test_a_refusal_is_told_with_the_voice_score(words, encoder, speakers, voices, stream):
    told_of = []
    keywords = [gated(words["rise"], "alice"), gated(words["fall"], "bob")]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices, on_refusal=told_of.append)
    assert len(listen(detector, stream, [9_000, 70_000])) == 3
    assert [(hit.keyword, hit.start_s) for hit in told_of] == said(("rise", "bob"), ("fall", "alice"))
    assert [hit.speaker for hit in told_of] == ["alice", "bob"]
    assert max(hit.speaker_score for hit in told_of) < 0.8


def test_names_of_speakers_are_compared_without_regard_to_case(words, encoder, speakers, voices, stream):
    keywords = [gated(words["rise"], "ALICE")]
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices)
    assert len(listen(detector, stream)) == 2


def test_a_voice_that_speaks_right_after_another_was_refused_is_heard(words, encoder, speakers, voices, speak, hush):
    wave = hush(4.0)
    for voice, start_s in (("bob", 1.0), ("alice", 1.75)):
        start = round(start_s * 16_000)
        wave[start : start + 9600] += speak("rise", voice, before_s=0, after_s=0, noise_db=-90.0, seed=3)
    keywords = [gated(words["rise"], "alice")]
    resting = DetectorSettings(refractory_s=3.0)
    detector = Detector(keywords, encoder=encoder, speakers=speakers, speaker_encoder=voices, settings=resting)
    (hit,) = listen(detector, wave)
    assert hit.start_s == pytest.approx(1.75, abs=0.25)
