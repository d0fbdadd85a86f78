"""A simulation that takes a second or two: three words by twelve voices, as a recipe's table."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.training.spatial.simulation import simulate
from tests.training.spatial.recipes import parse_spatial

WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250), "bow": (300, 1500, 300)}
ROLES = {"train": 6, "val": 4, "test": 4}


@pytest.fixture(scope="session")
def recordings(tmp_path_factory, say):
    """A folder with `manifest.tsv`: each word twice by each voice, in three splits without a voice in common."""
    folder = tmp_path_factory.mktemp("words")
    clips = []
    for word, pitches in WORDS.items():
        for split, voices in ROLES.items():
            for voice in range(voices):
                for take in range(2):
                    path = f"{word}_{split}_{voice}_{take}.wav"
                    seed = 100 * voice + 10 * take + len(split)
                    wave = say(*pitches, seconds=0.5, before_s=0.2, after_s=0.2, seed=seed)
                    audio.write(folder / path, wave)
                    clips.append(Clip(path, speaker=f"{split} {voice}", label=word, split=split))
    np.random.default_rng(0).shuffle(clips)
    write_manifest(Manifest(tuple(clips), folder), folder / "manifest.tsv")
    return folder


def _table(recordings, folder):
    manifest = str(recordings / "manifest.tsv")
    short = {"epochs": 2, "batch": 8}
    return {
        "name": "little",
        "repetitions": 2,
        "data": {
            "folder": str(folder),
            "unlabeled": [{"manifest": manifest, "split": "train"}],
            "labeled": [{"manifest": manifest, "split": "val"}],
            "test": [{"manifest": manifest, "split": "test"}],
        },
        "sizes": {"unlabeled": 30, "labeled": 20, "test": 20},
        "autoencoder": {"fit": short},
        "classifier": short,
        "benchmark": short,
    }


@pytest.fixture
def spatial_table(recordings, tmp_path):
    """Settings as a table, to be changed."""
    return _table(recordings, tmp_path / "data")


@pytest.fixture(scope="session")
def _packed(recordings, tmp_path_factory):
    """The settings, whose clips are packed, and a folder with their simulation."""
    folder = tmp_path_factory.mktemp("simulation")
    settings = parse_spatial(_table(recordings, folder / "data"), folder, "recipe")
    simulate(settings, folder / "run")
    return settings, folder / "run"


@pytest.fixture
def settings(_packed):
    """Those of `finished`."""
    return _packed[0]


@pytest.fixture
def finished(_packed, tmp_path):
    """A folder with a simulation, to be changed."""
    return Path(shutil.copytree(_packed[1], tmp_path / "run"))
