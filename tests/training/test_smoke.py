"""The whole way of a user: synthesize words, train on them, export, enroll, detect."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark import audio
from earmark.data.manifest import read_manifest
from earmark.data.synth.synthesis import read_words
from earmark.training.run.distributed import Processes
from earmark.training.words.recipe import read_recipe
from earmark.training.words.task import build_words_task

RECIPES = Path(__file__).parents[2] / "recipes"
# fmt: off
SPEECH_COMMANDS = {
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "zero", "one", "two", "three", "four",
    "five", "six", "seven", "eight", "nine", "bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila",
    "tree", "wow", "backward", "forward", "follow", "learn", "visual",
}
# fmt: on


@pytest.fixture
def earmark(tmp_path):
    """`earmark("train", …)`: the command in a process of its own, in a folder with the recipes; its stdout."""
    (tmp_path / "recipes").mkdir()
    for name in ("smoke.toml", "smoke-words.tsv"):
        shutil.copy(RECIPES / name, tmp_path / "recipes")

    def command(*arguments):
        call = [sys.executable, "-m", "earmark", *map(str, arguments)]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


def test_no_word_of_speech_commands_is_in_the_smoke_recipe():
    assert {word for _, word in read_words(RECIPES / "smoke-words.tsv")} & SPEECH_COMMANDS == set()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_smoke_recipe_trains_an_encoder_that_detects_a_word(earmark, tmp_path):
    recipe = (tmp_path / "recipes" / "smoke.toml").read_text(encoding="utf-8")
    for call in re.findall(r"^#   earmark (prepare .*)$", recipe, re.MULTILINE):
        earmark(*call.split())
    out = earmark("train", "recipes/smoke.toml", "--device", "cpu", "--set", "optimizer.steps=80")

    settings = read_recipe(tmp_path / "recipes" / "smoke.toml")
    untrained = build_words_task(settings, torch.device("cpu"), Processes()).validate()
    (percent,) = re.findall(r"best: .*EER ([\d.]+) %", out)
    eer = float(percent) / 100
    # Other seeds gave 0.23 to 0.29 after 80 steps; the untrained network is at chance.
    assert eer < 0.36
    assert eer < untrained["eer"] - 0.08

    # A word of another language by voices outside the training; the recording contains one of the takes.
    takes = []
    clips = [
        clip for clip in read_manifest(tmp_path / "data/smoke/judge/manifest.parquet") if clip.label == "es:ventana"
    ]
    for number, clip in enumerate(clips[:3]):
        wave = audio.read(tmp_path / "data/smoke/judge" / clip.path)
        assert clip.end_s is not None
        wave = wave[round(clip.start_s * 16_000) : round(clip.end_s * 16_000)]
        takes.append(tmp_path / f"take_{number}.wav")
        audio.write(takes[-1], np.pad(wave, 8000))
    audio.write(tmp_path / "talk.wav", np.concatenate([np.zeros(32_000, np.float32), audio.read(takes[0])]))
    encoder = ("--store", "keywords.earmark", "--encoder", "runs/smoke/smoke.onnx")
    earmark("enroll", "ventana", takes[0], *encoder)
    # After so short a training, the calibrated threshold is near 1, above the score of the take.
    out = earmark("detect", "talk.wav", *encoder, "--threshold", "0.95", "--json")
    assert '"keyword": "ventana"' in out
