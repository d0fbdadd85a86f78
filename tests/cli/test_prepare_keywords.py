import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from earmark.cli.prepare.options import read_word_lists
from earmark.core.audio import SAMPLE_RATE, read, write
from earmark.core.errors import InputError
from earmark.data.keyword_corpus.cuts import CutRules
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest
from tests.cli.prepare import run

ROOT = Path(__file__).parents[2]
SENTENCES = ROOT.parent / "shared" / "data" / "speechocean762" / "manifest.tsv"
EXCLUDED = ROOT / "recipes" / "models" / "speech-commands-words.txt"


@pytest.fixture
def aligned(tmp_path: Path) -> Path:
    """A manifest of one sentence in its label, and alignments beside it."""
    wave = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
    write(tmp_path / "1.wav", wave)
    write_manifest(
        Manifest((Clip("1.wav", speaker="anna", label="SEVEN BEARS", split="train"),), tmp_path), tmp_path / "s.tsv"
    )
    (tmp_path / "words.ctm").write_text("1 A 0.8 0.4 seven\n1 A 1.2 0.5 bears\n")
    return tmp_path / "s.tsv"


def test_words_are_cut_where_the_alignments_say(aligned: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "manifest.parquet"
    call = ("keywords", aligned, "--text-from", "label", "--alignments", tmp_path / "words.ctm", "--skip-common", 0)
    shown = run(*call, "--out", out, "--recognizer", "none", "--exclude", EXCLUDED, "--exclude", "fox,owl")
    assert f"{out}: 1 clip of 1 word, 0.5 s of speech, from 2 aligned words of 1 sentence\n" in shown
    assert "dropped: 1 excluded word\n" in shown
    (clip,) = read_manifest(out)
    assert (clip.label, clip.start_s, clip.end_s) == ("bears", 0.95, 1.95)


def test_hypotheses_of_another_recognizer_filter(aligned: Path, tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text(json.dumps([{"name": "seven_1_0", "text": "a seven bears"}]))
    call = ("keywords", aligned, "--text-from", "label", "--alignments", tmp_path / "words.ctm", "--skip-common", 0)
    shown = run(*call, "--out", tmp_path / "out" / "m.tsv", "--hypotheses", tmp_path / "found.json")
    assert "1 clip of 1 word" in shown
    assert "dropped: 1 no hypothesis\n" in shown


def test_sentences_without_text_are_refused_with_the_cure(aligned: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--text-from"):
        run("keywords", aligned, "--out", tmp_path / "out" / "m.tsv")
    with pytest.raises(InputError, match=r"s\.tsv: .*'test'.* train"):
        run("keywords", aligned, "--out", tmp_path / "out" / "m.tsv", "--split", "test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--exclude", "absent.txt"), "^--exclude: absent.txt"),
        (("--length", "-1"), "^--length: "),
        (("--alignments", "absent"), "^absent: "),
        (("--hypotheses", "absent.json", "--recognizer", "none"), "^--hypotheses: "),
        (("--hypotheses", "absent.json"), r"^absent\.json: "),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(
    aligned: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run("keywords", aligned, "--out", tmp_path / "m.tsv", *options)


def test_groups_of_words_can_be_excluded_by_their_name(tmp_path: Path) -> None:
    assert {"zero", "nine"} <= read_word_lists(["gsc/user-defined"], "--exclude")
    (tmp_path / "words.txt").write_text("# animals\nFox owl\n\nbear\n")
    assert read_word_lists([str(tmp_path / "words.txt"), "Elk"], "--exclude") == {"fox", "owl", "bear", "elk"}


def test_the_list_of_speech_commands_words_has_them_all_and_similar_words() -> None:
    words = read_word_lists([str(EXCLUDED)], "--exclude")
    assert words >= read_word_lists(["gsc/pre-defined,gsc/unknown,gsc/user-defined"], "--exclude")
    assert words >= {"to", "too", "for", "won", "ate", "know", "write", "sevens", "cats", "ones"}


def test_help_shows_an_example_and_the_defaults_of_the_rules() -> None:
    shown = run("keywords", "--help")
    assert "Example: earmark prepare keywords" in shown
    assert str(CutRules().skip_common) in shown


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_pocketsphinx_aligns_and_recognizes_and_a_second_call_has_nothing_to_do(tmp_path: Path) -> None:
    clips = []
    for number, text in enumerate(("under the river", "the hammer")):
        path = tmp_path / f"{number}.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", str(path), text], check=True)
        write(path, np.pad(read(path), 3000))
        clips.append(Clip(path.name, speaker="espeak", text=text))
    write_manifest(Manifest(tuple(clips), tmp_path), tmp_path / "s.tsv")
    out = tmp_path / "out" / "manifest.tsv"
    call = ("keywords", tmp_path / "s.tsv", "--out", out, "--skip-common", 1, "--workers", 1, "--min-word", 0)
    assert "from 5 aligned words of 2 sentences" in run(*call)
    assert {clip.label for clip in read_manifest(out)} <= {"under", "river", "hammer"}
    written = out.read_bytes()
    speed = json.loads((out.parent / "report.json").read_text())["speed"]
    assert [speed[stage]["done"] for stage in ("aligning", "recognizing")] == [2, 3]
    run(*call)
    assert out.read_bytes() == written
    speed = json.loads((out.parent / "report.json").read_text())["speed"]
    assert [speed[stage]["done"] for stage in ("aligning", "recognizing")] == [0, 0]


@pytest.mark.corpora
@pytest.mark.skipif(not SENTENCES.exists(), reason="the recordings of speechocean762 are absent")
def test_real_sentences_become_cuts(tmp_path: Path) -> None:
    manifest = read_manifest(SENTENCES)
    write_manifest(Manifest(manifest.clips[:2], manifest.folder), tmp_path / "s.tsv")
    out = tmp_path / "out" / "manifest.tsv"
    run(
        "keywords",
        tmp_path / "s.tsv",
        "--text-from",
        "label",
        "--out",
        out,
        "--skip-common",
        0,
        "--recognizer",
        "none",
        "--workers",
        1,
    )
    assert [clip.label for clip in read_manifest(out)] == ["we", "call", "it", "bear", "zero", "three", "five", "one"]
