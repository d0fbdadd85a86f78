import io
import json
import shutil
import sys

import pytest
import soundfile as sf

from earmark import audio

BAD = {
    "empty": "the file is empty",
    "no samples": "contains no audio",
    "silent": "is silent: is the microphone muted? record it again",
    "text": "not readable audio",
    "not a number": "contains NaN",
    "three hours": "10800 s long",
    "folder": "the folder contains no recordings",
    "absent": "no such file",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_take_is_one_clear_line_and_nothing_is_saved(run, takes, odd_file, kind):
    path = odd_file(kind)
    result = run("enroll", "rise", takes[0], path)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert str(path) in result.err
    assert BAD[kind] in result.err
    assert "no keywords yet" in run("keywords", "list").out


@pytest.mark.parametrize("kind", ["eight bits", "stereo 96 kHz", "cut off"])
def test_an_unusual_take_is_as_good_as_any(run, takes, odd_file, kind):
    path = odd_file(kind)
    result = run("enroll", "rise", *takes[:3], path)
    assert result.code == 0
    assert result.out.count("good") == 4
    assert result.err == (
        f"warning: {path}: truncated" + result.err.partition("truncated")[2] if kind == "cut off" else ""
    )


def test_takes_are_shown_and_the_keyword_is_saved(run, takes):
    result = run("enroll", " rise ", *takes)
    assert (result.code, result.err) == (0, "")
    assert all(str(path) in result.out for path in takes)
    assert "saved 'rise': 5 takes, 0.7" in result.out
    assert "score 0.87 (0.5 false alarms per hour)" in result.out
    listed = run("keywords", "list").out
    assert "rise" in listed
    assert "0.87" in listed


def test_remarks_are_in_the_row_of_their_take(run, takes, say):
    audio.write(takes[1], 20 * say("rise", seed=1))
    lines = run("enroll", "rise", *takes, "--force").out.splitlines()
    (row,) = [line for line in lines if str(takes[1]) in line]
    assert "is clipped: record it with less gain" in row
    assert "take 2" not in row


def test_a_known_keyword_is_added_to_or_replaced_only_on_demand(enrolled, takes, say, tmp_path):
    another = tmp_path / "another.wav"
    audio.write(another, say("rise", seed=9))
    refused = enrolled("enroll", "rise", takes[0])
    assert refused.code == 2
    assert all(text in refused.err for text in ("'rise'", "--add", "--replace"))
    assert "6 takes" in enrolled("enroll", "rise", another, "--add").out
    assert "saved 'rise': 1 take," in enrolled("enroll", "rise", takes[0], "--replace").out
    assert enrolled("enroll", "rise", takes[0], "--replace", "--add").code == 2


def test_more_takes_keep_the_threshold_unless_a_rate_is_given(run, takes):
    assert "score 0.90" in run("enroll", "rise", *takes[:3], "--false-alarms-per-hour", "0.1").out
    assert "score 0.90 (0.1 false alarms per hour), as before\n" in run("enroll", "rise", takes[3], "--add").out
    again = run("enroll", "rise", takes[4], "--add", "--false-alarms-per-hour", "100")
    assert again.out.endswith("score 0.50 (100 false alarms per hour)\n")


def test_takes_added_with_another_encoder_change_the_threshold(run, takes, make_encoder, monkeypatch):
    assert run("enroll", "rise", *takes[:3], "--false-alarms-per-hour", "0.1").code == 0
    card = {"calibration": {"false_alarms_per_hour": [0.1, 1], "threshold": [0.7, 0.6], "slope": 9.0}}
    other = make_encoder(name="new", fingerprint="f" * 48, card=card)
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _name=None: other)
    result = run("enroll", "rise", takes[3], "--add", "--encoder", "new")
    assert "score 0.70 (0.1 false alarms per hour), for the same rate" in result.out


def test_adding_to_an_unknown_keyword_says_so(enrolled, takes):
    result = enrolled("enroll", "risse", takes[0], "--add")
    assert result.code == 2
    assert "did you mean 'rise'?" in result.err


@pytest.mark.parametrize("rate", ["0", "-1", "nan"])
def test_a_rate_of_false_alarms_must_be_one(run, takes, rate):
    result = run("enroll", "rise", takes[0], "--false-alarms-per-hour", rate)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--false-alarms-per-hour" in result.err


def test_fewer_false_alarms_raise_the_threshold(run, takes):
    assert "score 0.90" in run("enroll", "rise", *takes, "--false-alarms-per-hour", "0.1").out


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 65])
def test_a_name_that_is_no_name_is_refused_before_the_files_are_read(run, name):
    result = run("enroll", name, "absent.wav")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "keyword" in result.err


def test_all_recordings_of_a_folder_are_enrolled(run, takes, tmp_path):
    folder = tmp_path / "takes"
    folder.mkdir()
    for take in takes[:3]:
        take.rename(folder / take.name)
    (folder / "._rise_0.wav").write_bytes(b"no audio")
    (folder / "notes.txt").write_text("no audio")
    assert "saved 'rise': 3 takes" in run("enroll", "rise", folder).out
    assert "saved 'rise': 5 takes" in run("enroll", "rise", folder, *takes[3:], "--replace").out


def test_other_stores_are_left_alone(run, takes, tmp_path):
    assert run("enroll", "rise", *takes, "--store", tmp_path / "other.earmark").code == 0
    assert "no keywords yet" in run("keywords", "list").out
    assert "rise" in run("keywords", "list", "--store", tmp_path / "other.earmark").out


def test_a_store_that_is_no_store_is_one_clear_line(run, takes, tmp_path):
    (tmp_path / "notes.txt").write_text(json.dumps({"no": "store"}) * 100)
    result = run("enroll", "rise", *takes, "--store", tmp_path / "notes.txt")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "not a keyword store" in result.err


@pytest.fixture
def odd_takes(takes, say):
    """Takes of “rise”, one of which is “fall”."""
    audio.write(takes[3], say("fall", seed=3))
    return takes


def test_a_take_unlike_the_others_is_refused_without_force(run, odd_takes):
    result = run("enroll", "rise", *odd_takes)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert all(text in result.err for text in (f"take 4 ({odd_takes[3]})", "--force"))
    assert "no keywords yet" in run("keywords", "list").out
    forced = run("enroll", "rise", *odd_takes, "--force")
    assert forced.code == 0
    assert "sounds unlike the others" in forced.out


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_a_take_unlike_the_others_is_asked_about(run, odd_takes, monkeypatch, answer, code):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    result = run("enroll", "rise", *odd_takes)
    assert result.code == code
    assert "sounds unlike the others" in result.out
    assert ("rise" in run("keywords", "list").out) == (code == 0)


def test_a_copy_is_refused_when_it_is_added_and_when_it_is_marked(enrolled, takes, tmp_path):
    copy = tmp_path / "copy.ogg"
    wave = audio.read(takes[2])
    sf.write(copy, 0.5 * wave[1_000:], 16_000, format="OGG", subtype="OPUS")
    added = enrolled("enroll", "rise", copy, "--add")
    assert (added.code, added.out) == (2, "")
    assert "is the same recording as take 3" in added.err
    marked = enrolled("keywords", "mark-missed", "rise", copy)
    assert marked.code == 2
    assert "take 3 of 'rise'" in marked.err
    assert "6 takes" in enrolled("enroll", "rise", copy, "--add", "--force").out


def test_doubts_about_earlier_takes_do_not_stop_new_ones(run, odd_takes, say, tmp_path):
    assert run("enroll", "rise", *odd_takes, "--force").code == 0
    audio.write(tmp_path / "another.wav", say("rise", seed=9))
    assert run("enroll", "rise", tmp_path / "another.wav", "--add").code == 0


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_typed_word_needs_no_recording_and_recordings_can_follow(run, takes):
    typed = run("enroll", "rise", "--say", "rise")
    assert (typed.code, typed.err) == (0, "")
    assert "saved 'rise': 0 takes, 20 synthetic voices" in typed.out
    assert "20 synthetic voices speak it" in run("keywords", "show", "rise").out
    more = run("enroll", "rise", takes[0], "--add")
    assert "saved 'rise': 1 take, 20 synthetic voices" in more.out


def test_without_recordings_the_error_names_both_cures(run):
    refused = run("enroll", "rise")
    assert (refused.code, refused.out) == (2, "")
    assert "rise: no takes; record the word one to ten times, or type it: earmark enroll --say" in refused.err


def test_a_language_without_a_typed_word_is_refused(run, takes):
    refused = run("enroll", "rise", takes[0], "--language", "es")
    assert (refused.code, refused.out) == (2, "")
    assert "--say TEXT" in refused.err
    assert "no keywords yet" in run("keywords", "list").out
