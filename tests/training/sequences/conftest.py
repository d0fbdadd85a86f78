"""Fixtures of sequences: recordings of three voices with four words, lists, and a recipe that trains in a second."""

import numpy as np
import pytest

from earmark import audio

WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250), "bow": (300, 1500, 300), "dip": (1400, 300, 1400)}
VOICES = ("anna", "bert", "cleo")
SOURCE = {"kind": "log_mel", "n_mels": 12, "hop_s": 0.02}


@pytest.fixture(scope="session")
def speech(tmp_path_factory, say):
    """A folder with recordings, `sections.txt`, `labeled.txt` and `pairs.txt`: each voice in two files, 3.5 s each."""
    folder = tmp_path_factory.mktemp("speech")
    sections, labeled = [], []
    places: dict[str, list[str]] = {}
    for number, voice in enumerate(VOICES):
        for take in range(2):
            path = f"{voice}_{take}.wav"
            words = [
                say(
                    *[(1 + 0.1 * number) * pitch for pitch in pitches],
                    seconds=0.5,
                    before_s=0.2,
                    after_s=0.1,
                    seed=seed,
                )
                for seed, pitches in enumerate(WORDS.values(), 10 * number + 5 * take)
            ]
            audio.write(folder / path, np.pad(np.concatenate(words), (1600, 3200)))
            for start_s in (0.2, 1.8):
                sections.append(f"{path} {voice} {start_s} {start_s + 1.5}")
            for place, word in enumerate(WORDS):
                start_s = round(0.3 + 0.8 * place, 2)
                section = f"{path} {voice} {0.2 if place < 2 else 1.8} {1.7 if place < 2 else 3.3}"
                labeled.append(f"{section} {start_s} {start_s + 0.5:g} {word}")
                places.setdefault(word, []).append(f"{path} {voice} {start_s} {start_s + 0.5:g}")
    pairs = [f"{a} {b} 0.9" for found in places.values() for i, a in enumerate(found) for b in found[i + 1 :]]
    for name, lines in (("sections", sections), ("labeled", labeled), ("pairs", pairs)):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def table(speech, tmp_path):
    """The table of a recipe of stretched sections, for changes."""
    return {
        "kind": "sequences",
        "name": "little",
        "seed": 3,
        "checkpoint_every": 2,
        "data": {
            "folder": str(tmp_path / "kept"),
            "audio": str(speech),
            "sections": str(speech / "sections.txt"),
            "validation": str(speech / "labeled.txt"),
        },
        "frames": SOURCE,
        "encoder": {"features": 12, "dimension": 16, "heads": 2, "feed_forward": 24},
        "episodes": {"segments": 12, "seconds": 2.0, "least_sections": 4},
        "optimizer": {"steps": 4, "lr": 1e-3},
    }
