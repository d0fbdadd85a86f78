import warnings
from dataclasses import replace

import numpy as np
import pytest

from earmark.core.audio import AudioError
from earmark.core.errors import InputError
from earmark.models.speaker_encoder import load_speaker_encoder
from earmark.spotting.enrolled import check_encoder
from earmark.spotting.speaker import Speaker, spoken
from earmark.spotting.speaker_enrollment import (
    convert_earlier_speakers,
    enroll_speaker,
    extend_speaker,
    reembed_speaker,
)
from earmark.spotting.takes import EnrollmentError, TakeWarning
from earmark.spotting.verification import verify


@pytest.fixture
def alice(speak, stand_in_speaker):
    takes = [speak(word, "alice", seed=seed) for seed, word in enumerate(("rise", "fall", "bow", "rise"))]
    return enroll_speaker("Alice", takes, encoder=stand_in_speaker)


def test_a_voice_is_verified_in_any_words_and_another_is_not(alice, speak, stand_in_speaker):
    for word in ("rise", "fall", "bow"):
        own = verify(alice, speak(word, "alice", seed=9), encoder=stand_in_speaker)
        other = verify(alice, speak(word, "bob", seed=9), encoder=stand_in_speaker)
        assert own.is_same
        assert own.probability > 0.5
        assert not other.is_same
        assert other.probability < 0.5
        assert own.score > alice.threshold > other.score


def test_a_speaker_holds_takes_unit_embeddings_and_the_threshold_of_the_wanted_rate(alice, stand_in_speaker):
    assert (len(alice.takes), alice.embeddings.shape, alice.encoder) == (4, (4, 3), stand_in_speaker.fingerprint)
    np.testing.assert_allclose(np.linalg.norm(alice.embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(alice.prototype), 1, atol=1e-5)
    assert alice.threshold == pytest.approx(0.8)
    strict = enroll_speaker("a", [take.wave for take in alice.takes], encoder=stand_in_speaker, false_accepts=0.01)
    assert strict.threshold == pytest.approx(0.9)


def test_only_speech_is_embedded(speak, stand_in_speaker, hush):
    wave = np.concatenate([speak("rise", "alice"), hush(3.0), speak("fall", "alice", seed=1)])
    enroll_speaker("a", [wave, wave], encoder=stand_in_speaker)
    assert max(stand_in_speaker.embedded) < 2.2 * 16_000
    assert len(spoken(wave)) > 1.2 * 16_000
    assert len(spoken(hush(1.0))) == 0


def test_too_little_speech_gives_one_remark(speak, stand_in_speaker):
    with pytest.warns(
        TakeWarning, match=r"alice: only 0\.\d s of speech in all: record 2 s or more, ten are good"
    ) as caught:
        speaker = enroll_speaker("alice", [speak("rise", "alice")], encoder=stand_in_speaker)
    assert len(caught) == 1
    assert "of speech in all" in speaker.takes[0].remarks[0]


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(0), r"take 1 \(a\.wav\) is empty: record it again"),
        (np.zeros(32_000), r"take 1 \(a\.wav\) is silent: is the microphone muted\? record it again"),
        (0.01 * np.random.default_rng(0).standard_normal(32_000), r"take 1 \(a\.wav\) is without speech: record it"),
        (np.ones(121 * 16_000) * 0.1, r"take 1 \(a\.wav\) is 121 s long: a take is at most 120 s; cut a part out"),
        (np.full(100, np.nan), r"take 1 \(a\.wav\): .*NaN"),
    ],
    ids=["empty", "silent", "noise", "long", "nan"],
)
def test_a_take_that_teaches_nothing_is_refused_with_the_cure(wave, message, stand_in_speaker):
    with pytest.raises(InputError, match=message):
        enroll_speaker("alice", [wave], encoder=stand_in_speaker, sources=["a.wav"])


def test_a_take_with_too_little_speech_is_refused(speak, stand_in_speaker):
    with pytest.raises(EnrollmentError, match=r"take 1 contains only 0\.\d\d s of speech: say something longer"):
        enroll_speaker("alice", [speak("rise", "alice", seconds=0.15)], encoder=stand_in_speaker)


def test_noisy_takes_are_remarked(speak, stand_in_speaker):
    takes = [speak(word, "alice", seed=seed) for seed, word in enumerate(("rise", "fall", "bow", "rise"))]
    takes[2] = takes[2] + 0.04 * np.random.default_rng(0).standard_normal(len(takes[2])).astype(np.float32)
    with pytest.warns(TakeWarning, match="take 3 is noisy"):
        enroll_speaker("alice", takes, encoder=stand_in_speaker)


@pytest.mark.parametrize(
    ("voices", "odd"), [("aab", [2]), ("baaa", [0]), ("aabb", [2, 3]), ("ab", [1]), ("abaab", [1, 4])]
)
def test_takes_of_another_voice_are_named(speak, stand_in_speaker, voices, odd):
    who = {"a": "alice", "b": "bob"}
    takes = [speak("rise", who[voice], seed=seed) for seed, voice in enumerate(voices)]
    sources = [f"{number}.wav" for number in range(len(takes))]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        enroll_speaker("alice", takes, encoder=stand_in_speaker, sources=sources)
    remarks = [str(warning.message) for warning in caught if "another voice" in str(warning.message)]
    assert [remark.split(" sounds")[0] for remark in remarks] == [f"take {row + 1} ({row}.wav)" for row in odd]
    assert all("sounds like another voice than take" in remark for remark in remarks)


def test_one_voice_is_not_taken_for_two(speak, stand_in_speaker):
    same = [speak("rise", "alice", seed=1)] * 3
    words = [speak(word, "alice", seed=seed) for seed, word in enumerate(("rise", "fall", "bow", "fall", "rise"))]
    for takes in (same[:2] + words, words):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            enroll_speaker("alice", takes, encoder=stand_in_speaker)


def test_names_takes_and_sources_are_checked(speak, stand_in_speaker):
    with pytest.raises(InputError, match="name: "):
        enroll_speaker(" ", [speak("rise", "alice")], encoder=stand_in_speaker)
    with pytest.raises(EnrollmentError, match="alice: no takes"):
        enroll_speaker("alice", [], encoder=stand_in_speaker)
    with pytest.raises(EnrollmentError, match="alice: 1 takes but 2 sources"):
        enroll_speaker("alice", [speak("rise", "alice")], encoder=stand_in_speaker, sources=["a", "b"])
    with pytest.raises(InputError, match=r"^false_accepts: "):
        enroll_speaker("alice", [speak("rise", "alice")], encoder=stand_in_speaker, false_accepts=0)
    with pytest.raises(InputError, match="speaker 'a': embeddings must be finite"):
        Speaker(name="a", takes=(), embeddings=np.zeros((0, 3), np.float32), threshold=0.5, encoder="x")


def test_a_speaker_needs_a_calibrated_encoder(speak, make_speaker_encoder):
    with pytest.raises(InputError, match=r"^speaker encoder .stand-in voices.: "):
        enroll_speaker("alice", [speak("rise", "alice")], encoder=make_speaker_encoder(card={}))


def test_a_speaker_of_another_encoder_is_refused_until_it_is_reembedded(alice, speak, make_speaker_encoder):
    other = make_speaker_encoder(name="new", fingerprint="f" * 16)
    with pytest.raises(InputError, match=r"'Alice' was enrolled with encoder b01ce5.*reembed"):
        verify(alice, speak("rise", "alice"), encoder=other)
    converted = reembed_speaker(alice, other, false_accepts=0.1)
    check_encoder(converted, other)
    assert converted.threshold == pytest.approx(0.7)
    np.testing.assert_allclose(converted.embeddings, alice.embeddings)
    assert verify(converted, speak("rise", "alice"), encoder=other).is_same


def test_a_recording_without_speech_cannot_be_verified(alice, stand_in_speaker, hush):
    with pytest.raises(AudioError, match="speech"):
        verify(alice, hush(1.0), encoder=stand_in_speaker)
    with pytest.raises(AudioError):
        verify(alice, np.zeros((2, 9)), encoder=stand_in_speaker)


def test_the_level_does_not_change_the_score(alice, speak, stand_in_speaker):
    wave = speak("bow", "alice", seed=4)
    scores = [verify(alice, gain * wave, encoder=stand_in_speaker).score for gain in (0.1, 1.0)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-2)


def test_reembedding_a_speaker_does_not_warn(alice, stand_in_speaker):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = reembed_speaker(replace(alice, name="b"), stand_in_speaker)
    np.testing.assert_allclose(again.embeddings, alice.embeddings)


def test_the_same_encoder_keeps_the_threshold_and_another_the_share(
    alice, speak, stand_in_speaker, make_speaker_encoder
):
    known, more = replace(alice, threshold=0.77, rate=0.1), [speak("bow", "alice", seed=5)]
    longer = extend_speaker(known, more, encoder=stand_in_speaker, sources=["new.wav"])
    assert (reembed_speaker(known, stand_in_speaker).threshold, longer.threshold) == (0.77, 0.77)
    assert (len(longer.takes), longer.takes[4].source, longer.rate) == (5, "new.wav", 0.1)
    other = make_speaker_encoder(name="new", fingerprint="f" * 16)
    for speaker, threshold in ((known, 0.7), (replace(known, rate=None), 0.8)):
        assert reembed_speaker(speaker, other).threshold == pytest.approx(threshold)
        assert extend_speaker(speaker, more, encoder=other).threshold == pytest.approx(threshold)
    assert reembed_speaker(known, stand_in_speaker, false_accepts=0.01).threshold == pytest.approx(0.9)


EARLIER = "7378eece21db1e91"


@pytest.fixture(scope="module")
def shipped():
    return load_speaker_encoder()


@pytest.fixture
def earlier_alice(alice):
    """A speaker of the shipped encoder of version 0.1.0, at its default rate."""
    return replace(alice, embeddings=np.eye(4, 256, dtype=np.float32), threshold=0.457, rate=0.05, encoder=EARLIER)


def test_a_speaker_of_the_earlier_shipped_encoder_gets_the_threshold_of_the_same_rate(earlier_alice, shipped):
    (converted,) = convert_earlier_speakers([earlier_alice], shipped)
    check_encoder(converted, shipped)
    assert (converted.rate, converted.threshold) == (0.05, shipped.calibration.threshold(0.05))
    assert converted.embeddings.shape == (4, shipped.dimension)
    assert converted.takes == earlier_alice.takes


@pytest.mark.parametrize(("threshold", "rate"), [(0.523, 0.02), (0.39, 0.1), (1.01, 0.01)])
def test_a_threshold_that_a_user_set_becomes_that_of_its_rate(earlier_alice, shipped, threshold, rate):
    for known in (None, 0.05):
        (converted,) = convert_earlier_speakers([replace(earlier_alice, threshold=threshold, rate=known)], shipped)
        assert converted.threshold == pytest.approx(shipped.calibration.threshold(rate))


def test_only_speakers_of_an_earlier_shipped_encoder_are_converted(alice, earlier_alice, shipped, stand_in_speaker):
    assert convert_earlier_speakers([alice], shipped) == [alice]
    assert convert_earlier_speakers([earlier_alice], stand_in_speaker) == [earlier_alice]


def test_verifying_a_speaker_of_an_earlier_version_warns_once(earlier_alice, speak):
    with pytest.warns(UserWarning, match="'Alice': a voice of an earlier version") as caught:
        verify(earlier_alice, speak("rise", "alice"))
    assert len(caught) == 1


def test_the_score_is_converted_to_that_of_one_second(alice, speak, make_speaker_encoder):
    impostors = {"mean": [0.1, 0.05, 0.0, 0.0], "deviation": [0.2, 0.05, 0.0, 0.0]}
    plain = make_speaker_encoder()
    calibrated = make_speaker_encoder(card={"calibration": plain.card["calibration"] | {"impostors": impostors}})
    short = speak("rise", "alice", seed=9)
    long = np.concatenate([short] * 8)
    cosines = [verify(alice, wave, encoder=plain).score for wave in (short, long)]
    scores = [verify(alice, wave, encoder=calibrated).score for wave in (short, long)]
    assert cosines[0] == pytest.approx(cosines[1], abs=0.02)
    # The impostors of eight seconds have a higher mean and deviation.
    assert scores[1] < scores[0] - 0.1
    assert alice.speech_s == pytest.approx(sum(len(spoken(take.wave)) for take in alice.takes) / 16_000)
