import json
from dataclasses import replace

import numpy as np
import pytest

from earmark import audio, load_speaker_encoder


@pytest.fixture
def voices(run, stand_in_speaker, monkeypatch):
    """`run`, with a stand-in for the speaker encoder."""
    monkeypatch.setattr("earmark.models.speaker_encoder.load_speaker_encoder", lambda _name=None: stand_in_speaker)
    return run


@pytest.fixture
def voice(speak, tmp_path):
    """`voice("alice", "rise")`: a recording of a voice."""

    def write(name, word="bow", seed=0):
        path = tmp_path / f"{name}_{word}_{seed}.wav"
        audio.write(path, speak(word, name, seed=seed))
        return path

    return write


@pytest.fixture
def known(voices, voice):
    """`run`, after the voices of Alice and Bob were enrolled."""
    for name in ("alice", "bob"):
        files = [voice(name, word, seed) for seed, word in enumerate(("rise", "fall", "bow", "bow"))]
        assert voices("speakers", "enroll", name, *files).code == 0
    return voices


@pytest.fixture
def dialogue(speak, tmp_path):
    """A file in which Alice says “rise” at 1.0 s and Bob at 3.0 s."""
    path = tmp_path / "dialogue.flac"
    first = speak("rise", "alice", before_s=1.0, after_s=0.7, seed=7)
    audio.write(path, np.concatenate([first, speak("rise", "bob", before_s=0.7, after_s=1.0, seed=8)]))
    return path


def test_a_voice_is_enrolled_and_its_takes_are_shown(voices, voice):
    files = [voice("alice", word) for word in ("rise", "fall", "bow")]
    result = voices("speakers", "enroll", "alice", *files)
    assert result.code == 0
    assert all(str(file) in result.out for file in files)
    assert result.out.endswith("saved speaker 'alice': 3 takes, the same voice at score 0.80\n")
    strict = voices("speakers", "enroll", "alice", *files, "--replace", "--false-accepts", "0.01")
    assert "score 0.90" in strict.out


def test_too_little_speech_is_in_the_table(voices, voice):
    result = voices("speakers", "enroll", "alice", voice("alice"))
    assert (result.code, result.err) == (0, "")
    assert "s of speech in all: record 2 s or more" in result.out


def test_a_take_of_another_voice_is_in_the_table(voices, voice):
    files = [*(voice("alice", word) for word in ("rise", "fall", "bow")), voice("bob", "bow")]
    result = voices("speakers", "enroll", "alice", *files)
    assert (result.code, result.err) == (0, "")
    (row,) = [line for line in result.out.splitlines() if "another voice" in line]
    assert str(files[3]) in row
    assert "sounds like another voice than take 1 (similarity " in row


def test_a_taken_name_asks_whether_to_add_or_replace(known, voice):
    refused = known("speakers", "enroll", "Alice", voice("alice", seed=5))
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--add, or start over with --replace" in refused.err
    assert "5 takes" in known("speakers", "enroll", "Alice", voice("alice", seed=5), "--add").out
    assert "1 take," in known("speakers", "enroll", "Alice", voice("alice", seed=5), "--replace").out
    assert known("speakers", "enroll", "a", voice("alice"), "--add", "--replace").code == 2
    assert "no speaker 'carol'" in known("speakers", "enroll", "carol", voice("carol"), "--add").err


def test_more_takes_and_reembedding_keep_the_threshold(known, voice, make_speaker_encoder, monkeypatch):
    files = [voice("carol", word) for word in ("rise", "fall", "bow")]
    assert known("speakers", "enroll", "carol", *files, "--false-accepts", "0.01").code == 0
    more = known("speakers", "enroll", "carol", voice("carol", seed=4), "--add")
    assert more.out.endswith("4 takes, the same voice at score 0.90, as before\n")
    assert "score 0.90, as before" in known("speakers", "reembed", "carol").out
    assert "score 0.70\n" in known("speakers", "reembed", "carol", "--false-accepts", "0.1").out
    card = {"calibration": {"false_accepts": [0.01, 0.1], "threshold": [0.6, 0.5], "slope": 9.0}}
    other = make_speaker_encoder(name="new", fingerprint="f" * 16, card=card)
    monkeypatch.setattr("earmark.models.speaker_encoder.load_speaker_encoder", lambda _name=None: other)
    assert "score 0.50, for the same rate" in known("speakers", "reembed", "carol").out


def test_speakers_are_listed_with_their_keywords(known, takes):
    assert known("enroll", "rise", *takes, "--only-speaker", "alice").code == 0
    table = known("speakers", "list").out
    assert "alice" in table
    assert "rise" in table
    alice, bob = (json.loads(line) for line in known("speakers", "list", "--json").out.splitlines())
    assert list(alice) == ["speaker", "takes", "threshold", "encoder", "created", "keywords"]
    assert (alice["speaker"], alice["takes"], alice["keywords"], bob["keywords"]) == ("alice", 4, ["rise"], [])


def test_an_empty_store_says_how_to_fill_it(voices):
    assert voices("speakers", "list").out.endswith("no speakers yet; make one: earmark speakers enroll NAME FILE...\n")
    assert voices("speakers", "list", "--json").out == ""


def test_recordings_are_verified_and_both_results_are_a_success(known, voice):
    own, other = voice("alice", "fall", 9), voice("bob", "fall", 9)
    result = known("speakers", "verify", "alice", own, other)
    assert (result.code, result.err) == (0, "")
    assert [line.split()[-2] for line in result.out.splitlines() if ".wav" in line] == ["yes", "no"]
    yes, no = (json.loads(line) for line in known("speakers", "verify", "alice", own, other, "--json").out.splitlines())
    assert list(yes) == ["file", "speaker", "score", "probability", "is_same"]
    assert (yes["file"], yes["speaker"], yes["is_same"], no["is_same"]) == (str(own), "alice", True, False)
    assert yes["probability"] > 0.5 > no["probability"]


@pytest.mark.parametrize("kind", ["silent", "absent", "text", "three hours"])
def test_a_recording_that_cannot_be_verified_does_not_stop_the_others(known, voice, odd_file, kind):
    path = odd_file(kind)
    result = known("speakers", "verify", "alice", path, voice("alice", "fall", 9), "--json")
    assert result.code == 2
    assert result.err.startswith(f"error: {path}: ")
    assert result.err.count("\n") == 1
    assert json.loads(result.out)["is_same"] is True


def test_a_restricted_keyword_is_detected_only_in_its_voice(known, takes, voice, dialogue):
    files = [*takes, voice("alice", "rise", 13), voice("bob", "rise", 14)]
    enrolled = known("enroll", "rise", *files, "--only-speaker", "Alice")
    assert enrolled.code == 0
    assert enrolled.out.endswith("only for speaker 'alice'\n")
    result = known("detect", dialogue, "--json", "--threshold", "0.7")
    assert result.code == 0
    (hit,) = map(json.loads, result.out.splitlines())
    assert list(hit) == [
        "file",
        "keyword",
        "start_s",
        "end_s",
        "score",
        "probability",
        "speaker",
        "speaker_score",
    ]
    assert (hit["speaker"], hit["start_s"]) == ("alice", pytest.approx(1.0, abs=0.2))
    table = known("detect", dialogue, "--threshold", "0.7").out
    assert "voice score" in table
    assert f"{hit['speaker_score']:.2f}" in table


def test_refused_detections_are_noted_and_listed_on_demand(known, takes, voice, dialogue):
    files = [*takes, voice("alice", "rise", 13), voice("bob", "rise", 14)]
    assert known("enroll", "rise", *files, "--only-speaker", "alice").code == 0
    detect = ("detect", dialogue, "--threshold", "0.7")
    for result in (known(*detect), known(*detect, "--json")):
        assert result.code == 0
        assert result.err.startswith(f"note: {dialogue}: 'rise' was refused once")
        assert "0.80" in result.err
        assert result.err.count("\n") == 1
    hit, other = map(json.loads, known(*detect, "--json", "--refused").out.splitlines())
    assert ("refused" in hit, other["refused"], other["speaker"]) == (False, True, "alice")
    assert other["start_s"] == pytest.approx(3.0, abs=0.3)
    assert other["speaker_score"] < 0.8
    listed = known(*detect, "--refused")
    assert (listed.err, listed.out.count("not alice: refused")) == ("", 1)
    # What is one voice's keyword is no news as the refusal of another's.
    assert known("enroll", "climb", *files, "--only-speaker", "bob").code == 0
    both = known(*detect, "--json")
    assert (len(both.out.splitlines()), both.err) == (2, "")


def test_a_restriction_is_set_and_lifted_without_new_takes(known, takes, voice, dialogue):
    files = [*takes, voice("alice", "rise", 13), voice("bob", "rise", 14)]
    assert known("enroll", "rise", *files).code == 0
    detect = ("detect", dialogue, "--json", "--threshold", "0.7")
    assert len(known(*detect).out.splitlines()) == 2
    assert known("keywords", "restrict", "rise", "--only-speaker", "bob").code == 0
    assert "bob" in known("keywords", "list").out
    assert "speaker: bob" in known("keywords", "show", "rise").out
    (hit,) = map(json.loads, known(*detect).out.splitlines())
    assert hit["start_s"] == pytest.approx(3.0, abs=0.3)
    assert known("keywords", "restrict", "rise", "--any-speaker").code == 0
    assert len(known(*detect).out.splitlines()) == 2
    for arguments in ((), ("--any-speaker", "--only-speaker", "bob")):
        assert "--any-speaker" in known("keywords", "restrict", "rise", *arguments).err


def test_more_takes_do_not_lift_the_restriction(known, takes):
    assert known("enroll", "rise", *takes[:3], "--only-speaker", "alice").code == 0
    assert "only for speaker 'alice'" in known("enroll", "rise", takes[3], "--add").out
    assert "only for speaker 'bob'" in known("enroll", "rise", takes[4], "--add", "--only-speaker", "bob").out
    assert "only" not in known("enroll", "rise", *takes, "--replace").out


def test_an_unknown_speaker_is_refused_before_the_work(voices, takes):
    result = voices("enroll", "rise", *takes, "--only-speaker", "alice")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "earmark speakers enroll alice FILE..." in result.err


def test_a_speaker_is_removed_when_no_keyword_needs_it(known, takes):
    assert known("enroll", "rise", *takes, "--only-speaker", "alice").code == 0
    refused = known("speakers", "remove", "alice")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "earmark keywords restrict" in refused.err
    assert known("speakers", "remove", "bob").out == "removed speaker 'bob'\n"
    assert known("keywords", "restrict", "rise", "--any-speaker").code == 0
    assert known("speakers", "remove", "alice").code == 0
    assert "no speaker 'alice'" in known("speakers", "verify", "alice", "x.wav").err


def test_an_unknown_name_removes_no_speaker(known):
    refused = known("speakers", "remove", "alice", "bob", "carol")
    assert (refused.code, refused.out) == (2, "")
    assert len(known("speakers", "list", "--json").out.splitlines()) == 2
    assert known("speakers", "remove", "alice", "bob").out == "removed speaker 'alice'\nremoved speaker 'bob'\n"


def test_speakers_of_another_encoder_are_converted_with_the_command_that_the_error_names(
    known, takes, dialogue, make_speaker_encoder, monkeypatch
):
    assert known("enroll", "rise", *takes, "--only-speaker", "alice").code == 0
    other = make_speaker_encoder(name="new", fingerprint="f" * 16)
    monkeypatch.setattr("earmark.models.speaker_encoder.load_speaker_encoder", lambda _name=None: other)
    refused = known("detect", dialogue, "--speaker-encoder", "new")
    assert refused.code == 2
    assert refused.err.endswith("earmark speakers reembed --speaker-encoder new\n")
    assert known("speakers", "reembed", "--speaker-encoder", "new").out.count("converted speaker") == 2
    assert known("detect", dialogue).code == 0


def test_a_speaker_of_an_earlier_version_is_converted_in_the_store_with_one_note(run, voice, stand_in_speaker):
    """Verifying converts the speaker; the second time there is nothing to convert."""
    from earmark.spotting.speaker_enrollment import enroll_speaker
    from earmark.store.store import KeywordStore

    files = [voice("alice", word, seed) for seed, word in enumerate(("rise", "fall", "bow", "bow"))]
    enrolled = enroll_speaker("alice", files, encoder=stand_in_speaker)
    earlier = replace(enrolled, threshold=0.457, rate=0.05, encoder="7378eece21db1e91")
    with KeywordStore() as store:
        store.save_speaker(earlier)
    first, second = (run("speakers", "verify", "alice", files[0]) for _ in range(2))
    assert (first.code, second.code, second.err) == (0, 0, "")
    assert first.err.count("\n") == 1
    assert "converted 1 speaker" in first.err
    with KeywordStore() as store:
        assert store.get_speaker("alice").encoder == load_speaker_encoder().fingerprint
