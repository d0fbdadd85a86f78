"""What tests of training share: clips made of tones, a corpus of tones on disk, and a recipe that takes a second."""

import numpy as np
import pytest
import torch

from earmark import audio
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.loop import train
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.words.recipe import parse_recipe

WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250), "bow": (300, 1500, 300), "dip": (1400, 300, 1400)}
OTHER_WORDS = {"low": (250, 250, 300), "high": (1800, 1900, 1800)}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tone():
    """`tone(1000, 0.4)`: a sine at an RMS of 0.1, with silence before and after it."""

    def make(frequency_hz, seconds, *, silence_s=0.2, level=0.1):
        time_s = np.arange(round(seconds * audio.SAMPLE_RATE)) / audio.SAMPLE_RATE
        wave = level * np.sqrt(2) * np.sin(2 * np.pi * frequency_hz * time_s)
        return np.pad(wave, round(silence_s * audio.SAMPLE_RATE)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def bank_of():
    """`bank_of([wave, …], silence_s=0.2)`: a clip bank in memory; the spoken part is what is not silence."""

    def make(waves, *, silence_s=0.2):
        samples = [np.round(wave * 32767).astype(np.int16) for wave in waves]
        length = np.array([len(wave) for wave in samples])
        edge = round(silence_s * audio.SAMPLE_RATE)
        spoken = np.stack([np.full(len(waves), edge), length - edge], axis=1)
        level = [
            max(1, round(float(np.sqrt(np.mean(np.square(wave[edge : len(wave) - edge], dtype=np.float64))))))
            for wave in samples
        ]
        number = np.arange(len(waves))
        names = tuple(map(str, number))
        start = np.concatenate([[0], np.cumsum(length)[:-1]])
        return ClipBank(np.concatenate(samples), start, length, spoken, np.array(level), number, number, names, names)

    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, say):
    """A folder with `learn.tsv`, four words by four voices, and `validation.tsv`, two others by seven."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, words, voices in (("learn", WORDS, 4), ("validation", OTHER_WORDS, 7)):
        clips = []
        for word, pitches in words.items():
            for voice in range(voices):
                path = folder / f"{name}_{word}_{voice}.wav"
                audio.write(path, say(*pitches, seconds=0.5, before_s=0.3, after_s=0.3, seed=voice))
                clips.append(Clip(path.name, speaker=f"voice {voice}", label=word, split="train", text=word))
        write_manifest(Manifest(tuple(clips), folder), folder / f"{name}.tsv")
    return folder


@pytest.fixture
def table(corpus, tmp_path):
    """A recipe as a table, to be changed."""
    return {
        "name": "little",
        "seed": 3,
        "checkpoint_every": 3,
        "data": {
            "folder": str(tmp_path / "data"),
            "words": [{"manifest": str(corpus / "learn.tsv")}],
            "validation": [{"manifest": str(corpus / "validation.tsv")}],
        },
        "scenes": {"length_s": 1.3, "margin_s": 0.3},
        "encoder": {"widths": [4, 4, 6, 6, 8], "hidden": 12, "dimension": 8},
        "episodes": {"words": 3, "utterances": 2},
        "optimizer": {"steps": 6, "lr": 2e-3},
    }


@pytest.fixture
def recipe(table, tmp_path):
    """A recipe that trains in a second."""
    return parse_recipe(table, tmp_path, "recipe")


@pytest.fixture
def check_resuming(tmp_path):
    """`check_resuming(recipe, stop_at=5, kept=3)`: stopped at step 5, a run resumes from step 3 to the same bits."""

    def check(recipe, *, stop_at, kept):
        train(recipe, tmp_path / "whole", device="cpu")

        def stop(stage, done, _total):
            if stage.startswith("training") and done == stop_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "parts", device="cpu", progress=stop)
        assert load_checkpoint(tmp_path / "parts" / "last.safetensors").step == kept
        train(recipe, tmp_path / "parts", device="cpu")
        whole, parts = (load_checkpoint(tmp_path / name / "last.safetensors").tensors for name in ("whole", "parts"))
        assert whole.keys() == parts.keys()
        assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
        assert (tmp_path / "whole" / "log.jsonl").read_text() == (tmp_path / "parts" / "log.jsonl").read_text()

    return check
