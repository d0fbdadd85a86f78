import json

import numpy as np
import pytest

import earmark.training.adaptation.rounds  # noqa: F401 -- before `run` replaces load_encoder, which it would keep
from earmark import audio
from earmark.data import vad
from earmark.data.manifest import Clip, Manifest, write_manifest

WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250)}
RECIPE = """
kind = "sequences"
[frames]
kind = "log_mel"
n_mels = 20
hop_s = 0.02
[encoder]
kind = "segment"
features = 20
dimension = 16
feed_forward = 16
"""


class Loudness:
    """A detector for which loud audio is speech."""

    def reset(self):
        pass

    def process_samples(self, samples):
        return float(np.abs(samples).max() > 0.02)


@pytest.fixture
def talk(run, monkeypatch, tmp_path, say):
    """`run` in a folder with `words/`, two recordings of each of four voices, where loud is speech."""
    monkeypatch.setattr(vad, "silero", Loudness)
    # Drawing takes longer than all else here.
    monkeypatch.setattr("earmark.training.mining.report.save", lambda _, path: path.touch())
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
    (tmp_path / "small.toml").write_text(RECIPE)
    return run


def test_a_folder_of_recordings_makes_an_encoder_of_segments_and_a_report(talk, tmp_path):
    options = ("--rounds", 2, "--steps", 2, "--threads", 1, "--device", "cpu", "--recipe", "small.toml")
    done = talk("adapt", "words", *options, "--out", "out")
    assert done.code == 0, done.err
    first, init, *rounds = done.out.splitlines()
    assert first.startswith("0.2 min of speech in 8 recordings of 4 speakers, 2 of them held out; ")
    assert init.startswith("from sections in two tempos: held-out loss ")
    assert rounds[0].startswith("round 1: ")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (results["kind"], results["watch"]) == ("adaptation", "held_out_loss")
    kept = [results["start"], *(one["numbers"] for one in results["rounds"])]
    assert min(kept, key=lambda numbers: numbers["held_out_loss"]) == kept[results["kept"]]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| start | " in report
    assert "earmark train" in report
    assert (tmp_path / "out" / "rounds.png").stat().st_size > 1000
    assert (tmp_path / "out" / "best.safetensors").exists()
    again = talk("adapt", "words", *options, "--out", "out")
    assert again.out == done.out
    # Each round can be had again by the command of its own.
    repeated = talk("train", "out/round-1.toml", "--run", "again", "--device", "cpu")
    assert repeated.code == 0, repeated.err
    numbers = [json.loads(line) for line in (tmp_path / "again" / "log.jsonl").read_text().splitlines()]
    assert min(one["held_out_loss"] for one in numbers) == results["rounds"][0]["numbers"]["held_out_loss"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("empty",), 2, "empty: no recordings in it"),
        (("nowhere",), 2, "nowhere"),
        (("silent",), 1, "no speech in 1 recordings: nobody speaks in them"),
        (("one",), 2, "speech in 1 of its recordings, but 4 are needed"),
        (("words", "--rounds", 0), 2, "rounds: input should be greater than or equal to 1"),
        (("words", "--start", "tiny"), 2, "beside --recipe it is none, or the file of a checkpoint"),
        (("words", "--validation", "nowhere.tsv"), 2, "nowhere.tsv"),
    ],
)
def test_what_cannot_be_adapted_is_told_in_a_line(talk, tmp_path, say, words, code, message):
    for name in ("empty", "silent", "one"):
        (tmp_path / name).mkdir()
    audio.write(tmp_path / "silent" / "a.wav", np.zeros(32_000, np.float32))
    audio.write(tmp_path / "one" / "a.wav", say("rise"))
    done = talk("adapt", *words, "--recipe", "small.toml", "--threads", 1, "--out", "out")
    assert done.code == code
    assert message in done.err
    assert len(done.err.splitlines()) == 1
