"""Corrections of keywords, kept clips, and keywords whose encoder is missing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.spotting.near_miss import NearMiss
from earmark.store.store import KeywordStore


@pytest.fixture
def loose(enrolled):
    """`run`, with a keyword “rise” that a similar word triggers too."""
    assert enrolled("keywords", "set", "rise", "--threshold", "0.75").code == 0
    return enrolled


@pytest.fixture
def kitchen(say, tmp_path):
    """A file with a word like “rise” at 2 s."""
    path = tmp_path / "kitchen.wav"
    audio.write(path, say(250, 700, 900, before_s=2.0, after_s=1.0, seed=50))
    return path


def count(run, path):
    result = run("detect", path, "--json")
    assert result.code == 0
    return len(result.out.splitlines())


def test_a_false_detection_is_marked_and_the_mark_undone(loose, kitchen, talk):
    assert (count(loose, kitchen), count(loose, talk)) == (1, 1)
    assert loose("keywords", "mark-false", "rise", kitchen).code == 0
    assert (count(loose, kitchen), count(loose, talk)) == (0, 1)
    shown = loose("keywords", "show", "rise").out
    assert str(kitchen) in shown
    undone = loose("keywords", "undo", "rise")
    assert (undone.code, str(kitchen) in undone.out) == (0, True)
    assert count(loose, kitchen) == 1
    loose("keywords", "undo", "rise")
    assert count(loose, kitchen) == 0
    assert loose("keywords", "drop", "rise", "1", "--negative").code == 0
    assert count(loose, kitchen) == 1


def test_the_last_detection_is_marked_from_the_recording_or_from_its_clip(loose, kitchen, tmp_path):
    unknown = loose("keywords", "mark-false", "rise", "--last")
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)
    assert count(loose, kitchen) == 1
    assert loose("keywords", "mark-false", "rise", "--last").code == 0
    assert count(loose, kitchen) == 0
    loose("keywords", "undo", "rise")
    assert loose("detect", kitchen, "--keep-clips", tmp_path / "clips").code == 0
    kitchen.rename(tmp_path / "moved.wav")
    assert loose("keywords", "mark-false", "rise", "--last").code == 0
    assert count(loose, tmp_path / "moved.wav") == 0
    for clip in (tmp_path / "clips").iterdir():
        clip.unlink()
    gone = loose("keywords", "mark-false", "rise", "--last")
    assert (gone.code, gone.err.count("\n"), "clips" in gone.err) == (2, 1, True)


def test_what_is_marked_is_named_once(loose, kitchen):
    for wrong in (
        ["mark-false", "rise"],
        ["mark-false", "rise", kitchen, "--last"],
        ["mark-false", "rise", "--last", "--from", "1"],
        ["mark-false", "rise", "--near-miss", "1"],
        ["mark-missed", "rise"],
        ["mark-false", "rise", kitchen, "--from", "9"],
        ["set", "rise"],
        ["set", "rise", "--threshold", "0.7", "--false-alarms-per-hour", "1"],
        ["set", "rise", "--threshold", "7"],
        ["drop", "rise", "6"],
        ["undo", "fall"],
    ):
        result = loose("keywords", *wrong)
        assert (result.code, result.err.count("\n")) == (2, 1), wrong
    assert "--threshold" in loose("keywords", "set", "rise", "--threshold", "7").err


def test_a_missed_word_becomes_a_take_and_a_take_is_dropped(enrolled, talk):
    assert enrolled("keywords", "mark-missed", "rise", talk, "--from", "1.2", "--to", "2.3").code == 0
    assert len(KeywordStore().get("rise").takes) == 6
    assert KeywordStore().get("rise").takes[5].source == str(talk)
    assert enrolled("keywords", "drop", "rise", "6").code == 0
    assert len(KeywordStore().get("rise").takes) == 5
    enrolled("keywords", "undo", "rise")
    assert len(KeywordStore().get("rise").takes) == 6


def test_a_rate_and_a_name_are_changed(enrolled):
    before = KeywordStore().get("rise").threshold
    assert enrolled("keywords", "set", "rise", "--false-alarms-per-hour", "10").code == 0
    changed = KeywordStore().get("rise")
    assert (changed.rate, changed.threshold < before) == (10, True)
    assert enrolled("keywords", "rename", "rise", "go up").code == 0
    assert KeywordStore().names() == ["go up"]
    assert enrolled("keywords", "undo", "go up").code == 0
    assert KeywordStore().names() == ["rise"]
    assert enrolled("keywords", "rename", "rise", "").code == 2


def test_near_misses_are_listed_exported_and_marked(loose, say, tmp_path):
    assert loose("keywords", "near-misses", "rise").code == 0
    words = [say(250, 700, 900, seed=51), say("rise", seed=33)]
    found = [
        NearMiss(wave, 0.4, 1.0, f"room.wav at 0:0{place}", score=0.7 + place / 10) for place, wave in enumerate(words)
    ]
    KeywordStore().save_near_misses("rise", found)
    listed = loose("keywords", "near-misses", "rise", "--export", tmp_path / "review")
    assert all(text in listed.out for text in ("room.wav at 0:00", "0.70", "0.05 below", "detected"))
    written = sorted((tmp_path / "review").iterdir())
    assert len(written) == 2
    np.testing.assert_allclose(audio.read(written[0]), words[0], atol=1e-3)
    assert loose("keywords", "mark-missed", "rise", "--near-miss", "2").code == 0
    assert loose("keywords", "mark-false", "rise", "--near-miss", "1").code == 0
    keyword = KeywordStore().get("rise")
    assert (len(keyword.takes), len(keyword.negatives)) == (6, 1)
    assert KeywordStore().near_misses("rise") == []


def test_clips_of_detections_are_kept_with_context_and_forgotten(loose, kitchen, tmp_path):
    result = loose("detect", kitchen, "--json", "--keep-clips", tmp_path / "clips")
    (line,) = map(json.loads, result.out.splitlines())
    (clip,) = (tmp_path / "clips").iterdir()
    assert line["clip"] == str(clip)
    assert clip.stat().st_mode & 0o777 == 0o600
    wave = audio.read(clip)
    start = round((line["start_s"] - 1.5) * 16_000)
    np.testing.assert_allclose(wave, audio.read(kitchen)[start : start + len(wave)], atol=1e-3)
    (tmp_path / "clips" / "notes.txt").write_text("mine")
    assert loose("detect", kitchen).code == 0  # the last detection is no longer in a clip
    assert loose("keywords", "forget", "rise").code == 0
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["notes.txt"]
    assert KeywordStore().names() == []


def test_options_of_clips_need_a_folder(loose, kitchen, tmp_path):
    lacking = loose("detect", kitchen, "--clips-most", "5")
    assert (lacking.code, "--keep-clips" in lacking.err) == (2, True)
    wrong = loose("detect", kitchen, "--keep-clips", tmp_path, "--clips-most", "0")
    assert (wrong.code, "greater than or equal to 1" in wrong.err) == (2, True)
    options = ("--clips-context", "2", "--clips-most", "1", "--clips-days", "1", "--clips-megabytes", "1")
    assert loose("detect", kitchen, kitchen, "--keep-clips", tmp_path / "clips", *options).code == 0
    assert len(list((tmp_path / "clips").iterdir())) == 1


def test_a_keyword_without_its_encoder_is_skipped_with_one_line(enrolled, talk):
    keyword = KeywordStore().get("rise")
    KeywordStore().save(replace(keyword, name="foreign", encoder="f" * 48))
    result = enrolled("detect", talk, "--json")
    assert result.code == 0
    assert [json.loads(line)["keyword"] for line in result.out.splitlines()] == ["rise"]
    assert result.err.count("\n") == 1
    assert all(text in result.err for text in ("'foreign'", "earmark keywords reembed foreign"))
    alone = enrolled("detect", talk, "--keyword", "foreign")
    assert (alone.code, alone.err.count("\n")) == (2, 1)


@pytest.mark.usefixtures("enrolled")
def test_an_own_encoder_is_remembered(stand_in):
    assert KeywordStore().encoder_paths() == {stand_in.fingerprint: Path("stand-in.onnx").absolute()}


def test_keywords_are_tuned_to_a_room(loose, say, hush, tmp_path):
    wave = hush(120.0)
    for number, start in enumerate(range(16_000, 118 * 16_000, 48_000)):
        wave[start : start + 9600] += say(250, 700, 900, before_s=0, after_s=0, noise_db=-90.0, seed=number)
    audio.write(tmp_path / "room.wav", wave)
    result = loose("tune", "rise", "--background", tmp_path / "room.wav", "--near-misses", "4")
    assert result.code == 0
    keyword = KeywordStore().get("rise")
    assert (keyword.rate, keyword.calibration.origin, keyword.threshold > 0.75) == (0.5, "room", True)
    assert len(KeywordStore().near_misses("rise")) == 4
    assert "in your room" in loose("keywords", "show", "rise").out
    assert loose("keywords", "undo", "rise").code == 0
    assert KeywordStore().get("rise").threshold == 0.75
    for wrong in (["fall", "--background", tmp_path / "room.wav"], ["--background", tmp_path / "absent.wav"], ["rise"]):
        assert loose("tune", *wrong).code == 2
