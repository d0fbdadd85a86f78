"""`earmark prepare vad`, `segments` and `ngrams`."""

import shutil
from pathlib import Path

import pytest

from earmark import demo
from earmark.core.errors import EarmarkError, InputError
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segments import read_segments
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest
from earmark.data.segments.grid import Grid
from tests.cli.prepare import run


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """A folder of three spoken takes."""
    folder = tmp_path / "takes"
    folder.mkdir()
    for number, path in enumerate(demo.take_files()[:3]):
        shutil.copy(path, folder / f"voice{number}_nohash_0.flac")
    return folder


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """An alignment of three words in one recording."""
    (tmp_path / "words.ctm").write_text("1 A 0.8 0.4 seven\n1 A 1.2 0.5 bears\n1 A 2.5 0.2 ran\n")
    return tmp_path / "words.ctm"


def test_a_folder_becomes_sections_and_then_segments(takes, tmp_path):
    sections, segments = tmp_path / "sections.txt", tmp_path / "segments.txt"
    shown = run("vad", takes, "--out", sections, "--workers", 1)
    assert f"{sections}: 3 sections in 3 recordings" in shown
    found = list(read_sections(sections, audio=takes))
    assert [section.speaker for section in found] == ["voice0", "voice1", "voice2"]
    assert "--speaker-pattern" not in shown
    assert "--speaker-pattern" in run("vad", takes, "--speaker-pattern", "x(y)", "--out", sections, "--workers", 1)
    shown = run("vad", takes, "--out", sections, "--workers", 1)
    shown = run("segments", sections, "--out", segments, "--audio", takes)
    count = sum(Grid().count(section) for section in found)
    assert shown == f"{segments}: {count} segments of 3 sections\n"
    assert len(list(read_segments(segments, audio=takes))) == count


def test_a_second_vad_writes_the_same_from_its_log(takes, tmp_path):
    run("vad", takes, "--out", tmp_path / "s.txt", "--workers", 1)
    first, log = (tmp_path / "s.txt").read_text(), (tmp_path / "s.jsonl").read_text()
    run("vad", takes, "--out", tmp_path / "s.txt")
    assert ((tmp_path / "s.txt").read_text(), (tmp_path / "s.jsonl").read_text()) == (first, log)


def test_a_manifest_of_sections_leads_to_the_recordings(takes, tmp_path):
    run("vad", takes, "--out", tmp_path / "s.tsv", "--workers", 1)
    manifest = read_manifest(tmp_path / "s.tsv")
    assert all(manifest.locate(clip).is_file() and clip.end_s for clip in manifest)
    run("segments", tmp_path / "s.tsv", "--out", tmp_path / "g.tsv")
    assert len(read_manifest(tmp_path / "g.tsv")) > 3


def test_recordings_that_cannot_be_read_are_dropped(takes, tmp_path):
    (takes / "voice9_nohash_0.flac").write_text("no sound")
    shown = run("vad", takes, "--out", tmp_path / "s.txt", "--workers", 1)
    assert "dropped: 0 recordings without speech, 1 that cannot be read" in shown


def test_a_path_that_a_list_cannot_hold_is_an_error_before_the_work(takes, tmp_path):
    (takes / "voice0_nohash_0.flac").rename(takes / "my voice.flac")
    with pytest.raises(InputError, match=r"wav 'my voice\.flac'"):
        run("vad", takes, "--out", tmp_path / "s.txt")
    assert not (tmp_path / "s.jsonl").exists()


def test_no_speech_is_an_error_and_leaves_no_list(takes, tmp_path):
    with pytest.raises(EarmarkError, match="takes: "):
        run("vad", takes, "--out", tmp_path / "s.txt", "--workers", 1, "--min-speech", 60)
    assert not (tmp_path / "s.txt").exists()
    write_manifest(Manifest((Clip("a.wav"),)), tmp_path / "m.tsv")
    with pytest.raises(InputError, match="--speaker-pattern: "):
        run("vad", tmp_path / "m.tsv", "--out", tmp_path / "s.txt", "--speaker-pattern", "(x)")


def test_sections_without_a_segment_are_counted(tmp_path):
    (tmp_path / "s.txt").write_text("a.wav anna 0 0.1\na.wav anna 1 1.5\n")
    shown = run("segments", tmp_path / "s.txt", "--out", tmp_path / "g.txt")
    assert "6 segments of 2 sections\ndropped: 1 sections shorter than 0.16 s\n" in shown
    with pytest.raises(EarmarkError, match=r"0\.64 s"):
        run("segments", tmp_path / "s.txt", "--out", tmp_path / "g2.txt", "--shortest", 0.6)
    assert not (tmp_path / "g2.txt").exists()


def test_ngrams_of_alignments_alone_keep_the_names_of_the_recordings(words, tmp_path):
    shown = run("ngrams", words, "--unit", "words", "--n", "1-2", "--out", tmp_path / "n.txt")
    assert "4 n-grams of words, 4 labels, 0 of them more than once" in shown
    lines = (tmp_path / "n.txt").read_text().splitlines()
    assert lines[1] == "1 - 0.8 1.7 0.8 1.7 seven,bears"
    assert lines[-1] == "1 - 2.5 2.7 2.5 2.7 ran"


def test_recordings_and_speakers_come_from_a_manifest(words, tmp_path):
    write_manifest(Manifest((Clip("wav/1.flac", speaker="anna"),), tmp_path), tmp_path / "m.tsv")
    run("ngrams", words, "--recordings", tmp_path / "m.tsv", "--unit", "words", "--n", 1, "--out", tmp_path / "n.txt")
    assert all(segment.section.speaker == "anna" for segment in read_segments(tmp_path / "n.txt"))
    (tmp_path / "s.txt").write_text("wav/1.flac anna 0 1.7\n")
    call = ("ngrams", words, "--recordings", tmp_path / "m.tsv", "--unit", "words", "--out", tmp_path / "n.txt")
    assert "3 n-grams" in run(*call, "--sections", tmp_path / "s.txt")
    run("segments", tmp_path / "s.txt", "--out", tmp_path / "g.txt")
    run(*call, "--segments", tmp_path / "g.txt", "--n", "1-2")
    assert {segment.label for segment in read_segments(tmp_path / "n.txt")} == {"seven", "bears", "seven,bears"}


def test_drawn_ngrams_keep_their_order(words, tmp_path):
    call = ("ngrams", words, "--unit", "words", "--out", tmp_path / "n.txt", "--most", 2)
    drawn = set()
    for seed in range(6):
        run(*call, "--seed", seed)
        starts = [segment.start_s for segment in read_segments(tmp_path / "n.txt")]
        assert len(starts) == 2
        assert starts == sorted(starts)
        drawn.add(tuple(starts))
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (["--n", "one"], "--n: "),
        (["--split", "train"], "--split: "),
        (["--sections", "x", "--segments", "y"], "--sections: "),
        (["--unit", "phones"], "--unit: "),
    ],
)
def test_the_error_of_options_that_do_not_fit_names_one(words, tmp_path, options, option):
    with pytest.raises(InputError, match=option):
        run("ngrams", words, "--out", tmp_path / "n.txt", *options)


def test_sentences_of_a_manifest_are_aligned_by_pocketsphinx(tmp_path):
    pytest.importorskip("pocketsphinx")
    write_manifest(Manifest((Clip(str(demo.take_files()[0]), text="hey jupiter"),)), tmp_path / "m.tsv")
    shown = run(
        "ngrams", tmp_path / "m.tsv", "--unit", "words", "--n", "1-2", "--out", tmp_path / "n.txt", "--workers", 1
    )
    assert "3 n-grams of words" in shown
    assert [segment.label for segment in read_segments(tmp_path / "n.txt")] == ["hey", "hey,jupiter", "jupiter"]
    write_manifest(Manifest((Clip("a.wav", label="HEY"),)), tmp_path / "m.tsv")
    with pytest.raises(InputError, match="--text-from: "):
        run("ngrams", tmp_path / "m.tsv", "--out", tmp_path / "n.txt")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["vad", "takes", "--out", "list.jsonl"], r"--out: list\.jsonl"),
        (["segments", "list.txt", "--out", "./list.txt"], r"--out: list\.txt"),
        (["ngrams", "said.jsonl", "--out", "said.jsonl"], r"--out: said\.jsonl"),
        (
            ["ngrams", "said.ctm", "--segments", "list.txt", "--out", "list.txt"],
            r"--out: list\.txt",
        ),
    ],
)
def test_no_list_replaces_its_source(tmp_path, monkeypatch, words, option):
    monkeypatch.chdir(tmp_path)
    for name in ("list.txt", "list.jsonl", "said.jsonl", "said.ctm"):
        (tmp_path / name).write_text("source\n")
    with pytest.raises(InputError, match=option):
        run(*words)
    assert {file.read_text() for file in tmp_path.iterdir() if file.is_file()} == {"source\n"}
