import shutil
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.manifest import read_manifest
from tests.cli.prepare import run


def test_folder_writes_a_manifest_and_its_counts(tmp_path: Path) -> None:
    for name in ("yes/a_nohash_0.wav", "yes/b_nohash_0.wav", "no/a_nohash_0.wav", "_noise_/fan.wav"):
        (tmp_path / "words" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "words" / name).touch()
    out = tmp_path / "words.tsv"
    shown = run("folder", tmp_path / "words", "--out", out, "--val", 0, "--test", 0)
    assert shown == f"{out}: 4 clips (noise 1, train 3), 2 labels, 2 speakers\n"
    assert read_manifest(out).clips[0].path == "words/_noise_/fan.wav"


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_synth_synthesizes_a_word_list(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("en\triver\nes\tcasa\nfr\tmaison\n", encoding="utf-8")
    call = ("synth", tmp_path / "words.tsv", "--out", tmp_path / "out", "--engines", "espeak-ng", "--voices", 2)
    shown = run(*call, "--languages", "en, es")
    assert "4 clips of 2 words by 4 voices" in shown
    assert shown.endswith("0 kept; missing clips: none\n")
    assert "0 made, 4 kept" in run(*call, "--languages", "en, es")
    assert {clip.label for clip in read_manifest(tmp_path / "out" / "manifest.parquet")} == {"river", "es:casa"}


def test_an_unknown_synthesizer_is_refused_by_the_name_of_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--engines: "):
        run("synth", tmp_path / "words.tsv", "--out", tmp_path, "--engines", "mbrola")


@pytest.mark.parametrize("command", ["folder", "synth"])
def test_help_shows_an_example(command: str) -> None:
    assert f"Example: earmark prepare {command}" in run(command, "--help")
