import json
from dataclasses import replace

import numpy as np
import pytest

from earmark import audio
from earmark.store.store import KeywordStore

BAD = {
    "empty": "the file is empty",
    "no samples": "contains no audio",
    "text": "not readable audio",
    "not a number": "contains NaN",
    "folder": "a folder",
    "absent": "no such file",
}


class QuickEncoder:
    """Hears nothing, at once."""

    name, fingerprint, hop_s, lag_s, dimension = "quick", "57a4d1" * 8, 0.04, 0.0, 60

    def __init__(self, calibration):
        self.calibration, self.rest = calibration, 0

    def stream(self):
        return self

    def push(self, chunk):
        self.rest += len(chunk)
        count, self.rest = divmod(self.rest, 640)
        return np.zeros((count, 60), np.float32)

    def finish(self):
        return np.zeros((0, 60), np.float32)

    def compare_windows(self, frames, starts, stops, references):
        assert references.shape[0] == len(starts)
        assert len(frames) <= 256 + (stops - starts).max()
        return np.zeros(starts.shape, np.float32)


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def test_json_lines_have_the_detections(enrolled, talk):
    result = enrolled("detect", talk, "--json")
    assert (result.code, result.err) == (0, "")
    (hit,) = objects(result.out)
    assert list(hit) == ["file", "keyword", "start_s", "end_s", "score", "probability"]
    assert (hit["file"], hit["keyword"]) == (str(talk), "rise")
    assert hit["start_s"] == pytest.approx(1.4, abs=0.2)
    assert hit["end_s"] == pytest.approx(2.0, abs=0.2)
    assert 0.85 <= hit["score"] <= 1
    assert 0.5 <= hit["probability"] <= 1


def test_without_json_people_read_a_table(enrolled, talk):
    result = enrolled("detect", talk)
    assert result.code == 0
    assert str(talk) in result.out
    assert "probability" in result.out
    assert "rise" in result.out
    quiet = enrolled("detect", talk, "--threshold", "1").out
    assert quiet == f"{talk}: no keyword detected\n"


@pytest.mark.parametrize("kind", BAD)
def test_a_broken_file_among_many_does_not_stop_the_others(enrolled, talk, odd_file, kind):
    path = odd_file(kind)
    result = enrolled("detect", path, talk, "--json")
    assert result.code == 2
    assert result.err.startswith(f"error: {path}: ")
    assert BAD[kind] in result.err
    assert result.err.count("\n") == 1
    (hit,) = objects(result.out)
    assert (hit["file"], hit["start_s"]) == (str(talk), pytest.approx(1.4, abs=0.2))


@pytest.mark.parametrize("kind", ["eight bits", "stereo 96 kHz", "cut off"])
def test_unusual_files_are_searched(enrolled, odd_file, kind):
    result = enrolled("detect", odd_file(kind), "--json")
    assert result.code == 0
    assert [hit["keyword"] for hit in objects(result.out)] == ["rise"]
    assert ("warning: " in result.err) == (kind == "cut off")


def test_a_silent_file_holds_nothing_and_is_no_error(enrolled, odd_file):
    result = enrolled("detect", odd_file("silent"), "--json")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.slow
def test_three_hours_are_streamed(enrolled, odd_file, stand_in, monkeypatch):
    path = odd_file("three hours")
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _name: QuickEncoder(stand_in.calibration))
    monkeypatch.setattr("earmark.core.audio.read", None)
    result = enrolled("detect", path, "--json")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_only_the_named_keywords_are_looked_for(enrolled, talk, say, tmp_path):
    audio.write(tmp_path / "fall.wav", say("fall", seed=8))
    assert enrolled("enroll", "fall", tmp_path / "fall.wav").code == 0
    assert len(objects(enrolled("detect", talk, "--json").out)) == 2
    (hit,) = objects(enrolled("detect", talk, "--json", "--keyword", "fall").out)
    assert hit["keyword"] == "fall"
    unknown = enrolled("detect", talk, "--keyword", "fell")
    assert unknown.code == 2
    assert "did you mean 'fall'?" in unknown.err


def test_an_empty_store_says_how_to_fill_it(run, talk):
    result = run("detect", talk)
    assert result.code == 2
    assert result.err.endswith("make one: earmark enroll NAME FILE...\n")


def test_two_ways_to_set_the_threshold_exclude_each_other(enrolled, talk):
    result = enrolled("detect", talk, "--threshold", "0.5", "--false-alarms-per-hour", "1")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert len(objects(enrolled("detect", talk, "--false-alarms-per-hour", "2", "--json").out)) == 1


def test_keywords_of_another_encoder_are_converted_with_the_command_that_the_error_names(
    enrolled, talk, make_encoder, monkeypatch
):
    monkeypatch.setattr(
        "earmark.models.encoder.load_encoder", lambda _name: make_encoder(name="new", fingerprint="f" * 48)
    )
    refused = enrolled("detect", talk, "--encoder", "new")
    assert refused.code == 2
    assert refused.err.endswith("earmark keywords reembed rise --encoder new\n")
    assert enrolled("keywords", "reembed").code == 0
    assert enrolled("detect", talk).code == 0


def test_the_plot_is_a_picture(enrolled, talk, tmp_path):
    result = enrolled("detect", talk, "--plot", tmp_path / "talk.png")
    assert (result.code, result.err) == (0, f"drew {tmp_path / 'talk.png'}\n")
    assert (tmp_path / "talk.png").read_bytes().startswith(b"\x89PNG")


def test_a_part_of_a_recording_is_plotted_and_the_width_has_a_limit(enrolled, talk, hush, odd_file, tmp_path):
    audio.write(tmp_path / "late.flac", np.concatenate([hush(62.0), audio.read(talk)]))
    widths_px = []
    span: tuple[str, ...]
    for span in (("--from", "61", "--to", "65"), ()):
        result = enrolled("detect", tmp_path / "late.flac", "--plot", tmp_path / "part.png", *span)
        assert result.code == 0, result.err
        widths_px.append(int.from_bytes((tmp_path / "part.png").read_bytes()[16:20], "big"))
    assert widths_px == [9 * 150, 20 * 150]
    path = odd_file("three hours")
    for span in (("--from", "20000"), ("--from", "5", "--to", "4"), ("--to", "900")):
        result = enrolled("detect", path, "--plot", tmp_path / "part.png", *span)
        assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--plot" in enrolled("detect", path, "--from", "5").err


def test_detector_settings_are_options(enrolled, talk):
    assert enrolled("detect", talk, "--hold", "0", "--no-exclusive", "--json").code == 0
    result = enrolled("detect", talk, "--smoothing", "-1")
    assert (result.code, "--smoothing" in result.err) == (2, True)


def test_times_in_tables_have_minutes_from_a_minute_on(enrolled, talk, tmp_path, hush):
    audio.write(tmp_path / "late.flac", np.concatenate([hush(62.0), audio.read(talk)]))
    assert "1:03." in enrolled("detect", tmp_path / "late.flac").out


@pytest.mark.parametrize("name", ["absent/talk.png", "talk.jpg", "talk"])
def test_a_plot_that_cannot_be_written_is_found_before_the_detection(enrolled, talk, tmp_path, name):
    result = enrolled("detect", talk, "--plot", tmp_path / name)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: --plot: ")
    assert not (tmp_path / name).exists()


def test_a_plot_is_of_one_recording_that_is_not_too_long(enrolled, talk, odd_file, tmp_path):
    assert "one FILE" in enrolled("detect", talk, talk, "--plot", tmp_path / "a.png").err
    result = enrolled("detect", odd_file("three hours"), "--plot", tmp_path / "a.png")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--from" in result.err


def test_without_matplotlib_the_error_names_the_cure(enrolled, talk, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = enrolled("detect", talk, "--plot", tmp_path / "a.png")
    assert result.code == 2
    assert '[plots]"' in result.err


def make_earlier(name):
    """Store a keyword as an earlier version did: without parts."""
    with KeywordStore() as store:
        known = store.get(name)
        store.save(replace(known, parts=None, threshold=0.9), replace=known)


def test_keywords_of_an_earlier_version_are_converted_once_with_one_note(enrolled, takes, talk):
    assert enrolled("enroll", "again", *takes, "--false-alarms-per-hour", "5").code == 0
    for name in ("rise", "again"):
        make_earlier(name)
    first = enrolled("detect", talk, "--json")
    assert (first.code, first.err.count("note: "), first.err.count("\n")) == (0, 1, 1)
    assert len(objects(first.out)) == 1
    with KeywordStore() as store:
        assert [(kept.name, kept.rate, kept.threshold) for kept in store.all()] == [
            ("again", 5, 0.8),
            ("rise", 0.5, 0.87),
        ]
        assert all(kept.parts is not None for kept in store.all())
    assert enrolled("detect", talk).err == ""


def test_more_takes_convert_a_keyword_of_an_earlier_version(enrolled, takes):
    make_earlier("rise")
    result = enrolled("enroll", "rise", takes[0], "--add", "--force")
    assert "score 0.87 (0.5 false alarms per hour), for the same rate as before, 0.5\n" in result.out


def test_another_rate_for_a_keyword_of_another_encoder_names_the_cure(enrolled, talk, make_encoder, monkeypatch):
    other = make_encoder(name="new", fingerprint="f" * 48)
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _name=None: other)
    result = enrolled("detect", talk, "--false-alarms-per-hour", "1")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "earmark keywords reembed" in result.err


def test_the_help_shows_the_default_rate(run):
    from earmark.spotting.enrollment import FALSE_ALARMS_PER_HOUR

    assert f"{FALSE_ALARMS_PER_HOUR:g} for a new keyword" in " ".join(run("enroll", "--help").out.split())
