import json

import numpy as np
import pytest

from earmark import audio
from earmark.data.manifest import Clip, Manifest, write_manifest

WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250)}


@pytest.fixture
def talk(command_line, write_recipe_file, monkeypatch, tmp_path, say):
    """The command line in a folder with `words/`, two recordings of each of four voices, and small.toml."""
    monkeypatch.chdir(tmp_path)
    clips = []
    for voice in range(4):
        for take in range(2):
            waves = [say(*pitches, seconds=0.7, seed=7 * voice + take) for pitches in WORDS.values()]
            name = f"words/v{voice}_nohash_{take}.wav"
            (tmp_path / "words").mkdir(exist_ok=True)
            audio.write(tmp_path / name, np.concatenate(waves))
            clips += [
                Clip(name, 1.5 * place + 0.4, 1.5 * place + 1.1, f"v{voice}", word) for place, word in enumerate(WORDS)
            ]
    write_manifest(Manifest(tuple(clip for clip in clips if clip.speaker == "v0")), "labeled.tsv")
    write_recipe_file()
    return command_line


def test_a_folder_of_recordings_becomes_an_encoder_and_a_report(talk, tmp_path):
    options = ("--rounds", 2, "--steps", 2, "--threads", 1, "--device", "cpu", "--recipe", "small.toml")
    done = talk("adapt", "words", *options, "--out", "out")
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (results["kind"], results["watch"]) == ("adaptation", "held_out_loss")
    kept = [results["start"], *(one["numbers"] for one in results["rounds"])]
    assert min(kept, key=lambda numbers: numbers["held_out_loss"]) == kept[results["kept"]]
    lines = done.out.splitlines()
    assert [line.startswith("round ") for line in lines[2:]].count(True) >= len(results["rounds"])
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| start | " in report
    assert "earmark train" in report
    assert (tmp_path / "out" / "rounds.png").stat().st_size > 1000
    assert (tmp_path / "out" / "best.safetensors").exists()
    again = talk("adapt", "words", *options, "--out", "out")
    assert again.out == done.out
    # The recipe of each round repeats its training.
    repeated = talk("train", "out/round-1.toml", "--run", "again", "--device", "cpu")
    assert repeated.code == 0, repeated.err
    numbers = [json.loads(line) for line in (tmp_path / "again" / "log.jsonl").read_text().splitlines()]
    assert min(one["held_out_loss"] for one in numbers) == results["rounds"][0]["numbers"]["held_out_loss"]


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("empty",), 2, "empty"),
        (("nowhere",), 2, "nowhere"),
        (("silent",), 1, "silent"),
        (("one",), 2, "one"),
        (("words", "--rounds", 0), 2, "--rounds"),
        (("words", "--init", "unknown"), 2, "--init"),
        (("words", "--validation", "nowhere.tsv"), 2, "--validation"),
    ],
)
def test_an_error_is_one_line_that_names_the_option_or_folder(talk, tmp_path, say, words, code, named):
    for name in ("empty", "silent", "one"):
        (tmp_path / name).mkdir()
    audio.write(tmp_path / "silent" / "a.wav", np.zeros(32_000, np.float32))
    audio.write(tmp_path / "one" / "a.wav", say("rise"))
    done = talk("adapt", *words, "--recipe", "small.toml", "--threads", 1, "--out", "out")
    assert done.code == code
    assert named in done.err
    assert len(done.err.splitlines()) == 1
