"""Fixtures of adaptation: recordings of six synthetic voices, and a recipe that trains fast."""

import numpy as np
import pytest

from earmark import audio
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.training.adaptation.initialization import choose_initialization

WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250), "bow": (300, 1500, 300)}
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
[optimizer]
lr = 3e-3
"""


@pytest.fixture(autouse=True)
def _loudness(monkeypatch, loud_is_speech):
    loud_is_speech(0.02)
    # Drawing takes longer than everything else here.
    monkeypatch.setattr("earmark.training.mining.report.save", lambda _, path: path.touch())


@pytest.fixture(scope="session")
def talkers(tmp_path_factory, say):
    """A manifest of six voices, each with three words in each of two recordings."""
    folder = tmp_path_factory.mktemp("talkers")
    clips = []
    for voice in range(6):
        for take in range(2):
            waves = [say(*pitches, seconds=0.7, seed=7 * voice + take) for pitches in WORDS.values()]
            audio.write(folder / f"{voice}_{take}.wav", np.concatenate(waves))
            clips.append(Clip(f"{voice}_{take}.wav", speaker=f"voice{voice}"))
    return Manifest(tuple(clips), folder)


@pytest.fixture
def write_recipe_file(tmp_path):
    """`write_recipe_file(more)`: path of a recipe with a small network, and of more tables."""

    def write(more=""):
        path = tmp_path / "small.toml"
        path.write_text(RECIPE + more)
        return path

    return write


@pytest.fixture
def initialization(write_recipe_file):
    """Random weights of a small network."""
    return choose_initialization(None, write_recipe_file())


@pytest.fixture
def labeled(tmp_path, talkers):
    """A manifest of the words of two voices, with labels."""
    clips = [
        Clip(str(talkers.folder / f"{voice}_0.wav"), 1.5 * place + 0.4, 1.5 * place + 1.1, f"voice{voice}", word)
        for voice in (0, 1)
        for place, word in enumerate(WORDS)
    ]
    write_manifest(Manifest(tuple(clips)), tmp_path / "labeled.tsv")
    return tmp_path / "labeled.tsv"
