"""`earmark prepare vad`, `segments` and `ngrams`."""

import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from earmark import demo
from earmark.cli.prepare import app
from earmark.core.errors import EarmarkError, InputError
from earmark.data import vad
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segments import read_segments
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest
from earmark.data.segments.grid import Grid

RUNNER = CliRunner()


def run(*words: object) -> str:
    result = RUNNER.invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


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
    told = run("vad", takes, "--out", sections, "--workers", 1)
    assert f"{sections}: 3 sections in 3 recordings" in told
    found = list(read_sections(sections, audio=takes))
    assert [section.speaker for section in found] == ["voice0", "voice1", "voice2"]
    assert "who speaks" not in told
    assert "--speaker-pattern" in run("vad", takes, "--speaker-pattern", "x(y)", "--out", sections, "--workers", 1)
    told = run("vad", takes, "--out", sections, "--workers", 1)
    told = run("segments", sections, "--out", segments, "--audio", takes)
    count = sum(Grid().count(section) for section in found)
    assert told == f"{segments}: {count} segments of 3 sections\n"
    assert len(list(read_segments(segments, audio=takes))) == count


def test_vad_goes_on_where_it_stopped(takes, tmp_path, monkeypatch):
    run("vad", takes, "--out", tmp_path / "s.txt", "--workers", 1)
    first = (tmp_path / "s.txt").read_text()
    monkeypatch.setattr(vad, "blocks", None)
    run("vad", takes, "--out", tmp_path / "s.txt")
    assert (tmp_path / "s.txt").read_text() == first


def test_a_manifest_of_sections_leads_to_the_recordings(takes, tmp_path):
    run("vad", takes, "--out", tmp_path / "s.tsv", "--workers", 1)
    manifest = read_manifest(tmp_path / "s.tsv")
    assert all(manifest.locate(clip).is_file() and clip.end_s for clip in manifest)
    run("segments", tmp_path / "s.tsv", "--out", tmp_path / "g.tsv")
    assert len(read_manifest(tmp_path / "g.tsv")) > 3


def test_recordings_that_cannot_be_read_are_left_out_and_told(takes, tmp_path, capsys):
    (takes / "voice9_nohash_0.flac").write_text("no sound")
    told = run("vad", takes, "--out", tmp_path / "s.txt", "--workers", 1)
    assert "left out: 0 recordings without speech, 1 that cannot be read" in told
    del capsys


def test_a_path_that_a_list_cannot_hold_is_an_error_before_the_work(takes, tmp_path, monkeypatch):
    (takes / "voice0_nohash_0.flac").rename(takes / "my voice.flac")
    monkeypatch.setattr(vad, "blocks", None)
    with pytest.raises(InputError, match=r"wav 'my voice\.flac'"):
        run("vad", takes, "--out", tmp_path / "s.txt")


def test_nobody_who_speaks_is_an_error_and_leaves_no_list(takes, tmp_path):
    with pytest.raises(EarmarkError, match="no section in 3 clips: nobody speaks in them"):
        run("vad", takes, "--out", tmp_path / "s.txt", "--workers", 1, "--least-speech", 60)
    assert not (tmp_path / "s.txt").exists()
    write_manifest(Manifest((Clip("a.wav"),)), tmp_path / "m.tsv")
    with pytest.raises(InputError, match="--speaker-pattern: for a folder"):
        run("vad", tmp_path / "m.tsv", "--out", tmp_path / "s.txt", "--speaker-pattern", "(x)")


def test_sections_without_a_segment_are_told(tmp_path):
    (tmp_path / "s.txt").write_text("a.wav anna 0 0.1\na.wav anna 1 1.5\n")
    told = run("segments", tmp_path / "s.txt", "--out", tmp_path / "g.txt")
    assert "6 segments of 2 sections\nleft out: 1 sections shorter than 0.16 s\n" in told
    with pytest.raises(EarmarkError, match=r"all 2 sections are shorter than 0\.64 s; lower --shortest"):
        run("segments", tmp_path / "s.txt", "--out", tmp_path / "g2.txt", "--shortest", 0.6)
    assert not (tmp_path / "g2.txt").exists()


def test_ngrams_of_alignments_alone_keep_the_names_of_the_recordings(words, tmp_path):
    told = run("ngrams", words, "--unit", "words", "--n", "1-2", "--out", tmp_path / "n.txt")
    assert "4 n-grams of words, 4 labels, 0 of them more than once" in told
    lines = (tmp_path / "n.txt").read_text().splitlines()
    assert lines[1] == "1 - 0.8 1.7 0.8 1.7 seven,bears"
    assert lines[-1] == "1 - 2.5 2.7 2.5 2.7 ran"


def test_a_manifest_says_where_recordings_lie_and_who_speaks(words, tmp_path):
    write_manifest(Manifest((Clip("wav/1.flac", speaker="anna"),), tmp_path), tmp_path / "m.tsv")
    run("ngrams", words, "--recordings", tmp_path / "m.tsv", "--unit", "words", "--n", 1, "--out", tmp_path / "n.txt")
    assert all(segment.section.speaker == "anna" for segment in read_segments(tmp_path / "n.txt"))
    (tmp_path / "s.txt").write_text("wav/1.flac anna 0 1.7\n")
    call = ("ngrams", words, "--recordings", tmp_path / "m.tsv", "--unit", "words", "--out", tmp_path / "n.txt")
    assert "3 n-grams" in run(*call, "--sections", tmp_path / "s.txt")
    run("segments", tmp_path / "s.txt", "--out", tmp_path / "g.txt")
    run(*call, "--segments", tmp_path / "g.txt", "--n", "1-2")
    assert {segment.label for segment in read_segments(tmp_path / "n.txt")} == {"seven", "bears", "seven,bears"}


def test_so_many_ngrams_are_drawn_in_their_order(words, tmp_path):
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
    ("options", "told"),
    [
        (["--n", "one"], "--n: "),
        (["--split", "train"], "--split train: for a manifest; name it with --recordings"),
        (["--sections", "x", "--segments", "y"], "--sections and --segments: give one of them"),
        (["--unit", "phones"], "--unit: .*no phones of 'seven' at 0.8 s"),
    ],
)
def test_options_that_do_not_fit_are_told(words, tmp_path, options, told):
    with pytest.raises(InputError, match=told):
        run("ngrams", words, "--out", tmp_path / "n.txt", *options)


def test_sentences_of_a_manifest_are_aligned_by_pocketsphinx(tmp_path):
    pytest.importorskip("pocketsphinx")
    write_manifest(Manifest((Clip(str(demo.take_files()[0]), text="hey jupiter"),)), tmp_path / "m.tsv")
    told = run(
        "ngrams", tmp_path / "m.tsv", "--unit", "words", "--n", "1-2", "--out", tmp_path / "n.txt", "--workers", 1
    )
    assert "3 n-grams of words" in told
    assert [segment.label for segment in read_segments(tmp_path / "n.txt")] == ["hey", "hey,jupiter", "jupiter"]
    write_manifest(Manifest((Clip("a.wav", label="HEY"),)), tmp_path / "m.tsv")
    with pytest.raises(InputError, match="if it stands in the column label, say --text-from label"):
        run("ngrams", tmp_path / "m.tsv", "--out", tmp_path / "n.txt")


@pytest.mark.parametrize(("command", "settings"), [("segments", Grid)])
def test_the_help_says_the_defaults_of_the_settings(command, settings):
    shown = {parameter.opts[0]: parameter.show_default for parameter in get_command(app).commands[command].params}
    for field in fields(settings):
        assert shown["--" + field.name.removesuffix("_s").replace("_", "-")] == f"{field.default:g}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["vad", "takes", "--out", "list.jsonl"], r"--out list\.jsonl: a \.jsonl beside the list keeps what is done"),
        (["segments", "list.txt", "--out", "./list.txt"], r"--out list\.txt: would take the place of what it is made"),
        (["ngrams", "said.jsonl", "--out", "said.jsonl"], r"--out said\.jsonl: a \.jsonl beside"),
        (
            ["ngrams", "said.ctm", "--segments", "list.txt", "--out", "list.txt"],
            r"--out list\.txt: would take the place",
        ),
    ],
)
def test_nothing_is_written_over_what_is_read(tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    for name in ("list.txt", "list.jsonl", "said.jsonl", "said.ctm"):
        (tmp_path / name).write_text("something dear\n")
    with pytest.raises(InputError, match=told):
        RUNNER.invoke(app, words, catch_exceptions=False)
    assert {file.read_text() for file in tmp_path.iterdir() if file.is_file()} == {"something dear\n"}
