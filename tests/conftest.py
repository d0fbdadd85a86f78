"""What tests of the runtime share: an encoder that is a page of NumPy, and words made of gliding tones."""

import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import settings

from earmark.models.calibration import Calibration
from earmark.models.encoder import Encoder, load_encoder
from earmark.models.onnx_model import shipped_file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


# How long an example takes depends on the machine and on what else runs there.
settings.register_profile("earmark", deadline=None, max_examples=60)
settings.load_profile("earmark")

# Most tests use encoders of a page of NumPy, for which an hour of background would take minutes.
os.environ.setdefault("EARMARK_BACKGROUND", "none")

SAMPLE_RATE = 16_000
HOP = 640
AHEAD = 3  # frame i depends on the audio up to hop i + 3


class StandInStream:
    def __init__(self, encoder):
        self._encoder, self._sound = encoder, np.zeros(0, np.float32)

    def push(self, chunk):
        self._sound = np.concatenate([self._sound, chunk])
        return self._take(max(0, len(self._sound) // HOP - AHEAD + 1))

    def finish(self):
        return self._take(-(-len(self._sound) // HOP))

    def _take(self, count):
        frames = self._encoder.frames(self._sound)[:count] if count else np.zeros((0, 20), np.float32)
        # The audio of the returned frames is dropped.
        self._sound = self._sound[count * HOP :]
        return frames


class StandIn:
    """Follows the interface of `earmark.models.encoder.Encoder`: log band energies every 40 ms, 3 means a window."""

    name, fingerprint, path = "stand-in", "57a4d1" * 8, Path("stand-in.onnx")
    sample_rate, hop_s, lag_s, dimension = SAMPLE_RATE, HOP / SAMPLE_RATE, (AHEAD - 0.5) * HOP / SAMPLE_RATE, 60

    def __init__(self, **changes):
        self.card = {
            "name": "stand-in",
            "calibration": {
                "false_alarms_per_hour": [0.1, 0.5, 1, 2, 5, 10, 50, 100],
                "threshold": [0.9, 0.87, 0.85, 0.82, 0.8, 0.75, 0.6, 0.5],
                "slope": 20.0,
            },
        }
        for name, value in changes.items():
            setattr(self, name, value)

    @property
    def calibration(self):
        return Calibration.from_card(self.card, f"encoder {self.name!r}")

    def frames(self, wave):
        count = -(-len(wave) // HOP)
        padded = np.pad(wave, (0, (count + AHEAD) * HOP - len(wave))).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(padded, AHEAD * HOP)[::HOP][:count]
        spectrum = np.abs(np.fft.rfft(windows * np.hanning(AHEAD * HOP))) ** 2
        edges = np.geomspace(10, spectrum.shape[1] - 1, 21).astype(int)
        return np.log(np.add.reduceat(spectrum[:, : edges[-1]], edges[:-1], axis=1) + 1e-1).astype(np.float32)

    def stream(self):
        return StandInStream(self)

    def embed_windows(self, frames, stops, length):
        # Means of the thirds of each window, with shares of the frames at their borders; an empty window is silence.
        sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, axis=0, dtype=np.float64)])
        stops = np.clip(np.asarray(stops, np.int64), 0, len(frames))
        starts = np.maximum(0, stops - length)
        borders = starts[:, None] + (stops - starts)[:, None] * np.arange(4) / 3
        whole = np.minimum(borders.astype(np.int64), len(frames) - 1)
        upto = sums[whole] + (borders - whole)[..., None] * frames[whole]
        thirds = np.diff(upto, axis=1) / (np.maximum(1, stops - starts) / 3)[:, None, None]
        found = thirds.reshape(len(stops), self.dimension)
        found = found - found.mean(axis=1, keepdims=True)
        return (found / (np.linalg.norm(found, axis=1, keepdims=True) + 1e-6)).astype(np.float32)

    def compare_windows(self, frames, starts, stops, references):
        found = self.embed_windows(frames, stops.ravel(), (stops - starts).ravel()).reshape(*starts.shape, -1)
        return np.einsum("kmnd,kdn->kmn", found, references)

    def embed(self, wave):
        frames = self.frames(wave)
        return self.embed_windows(frames, np.array([len(frames)]), len(frames))[0]

    def embed_batch(self, waves):
        return np.stack([self.embed(wave) for wave in waves])


class SumEncoder:
    """As the encoders that ship: an embedding is the direction of the sum of its frames, here log band energies."""

    sample_rate, hop, hop_s, dimension, lag_s = SAMPLE_RATE, HOP, HOP / SAMPLE_RATE, 24, 0.02

    def __init__(self, name="sums", fingerprint="5a" * 8, parts=3):
        self.name, self.fingerprint, self.parts = name, fingerprint, parts
        self.card = {}

    embed_windows: Any = Encoder.embed_windows
    compare_windows: Any = Encoder.compare_windows

    def frames(self, wave):
        stream = self.stream()
        return np.concatenate([stream.push(wave), stream.finish()])

    def embed(self, wave):
        frames = self.frames(wave)
        return self.embed_windows(frames, [len(frames)], len(frames))[0]

    def stream(self):
        return SumStream()


class SumStream:
    def __init__(self):
        self._rest = np.zeros(0, np.float32)

    def push(self, wave):
        joined = np.concatenate([self._rest, wave])
        whole = len(joined) - len(joined) % HOP
        self._rest = joined[whole:]
        return self._frames(joined[:whole])

    def finish(self):
        return self._frames(np.pad(self._rest, (0, HOP - len(self._rest)))) if len(self._rest) else self._frames([])

    def _frames(self, wave):
        spectrum = np.abs(np.fft.rfft(np.reshape(wave, (-1, HOP)) * np.hanning(HOP))) ** 2
        edges = np.geomspace(4, spectrum.shape[1] - 1, SumEncoder.dimension + 1).astype(int)
        level = np.log(np.add.reduceat(spectrum[:, : edges[-1]], edges[:-1], axis=1) + 1e-4)
        return (level - level.mean(axis=1, keepdims=True)).astype(np.float32)


def _say(*pitches_hz, seconds=0.6, before_s=0.4, after_s=0.4, level=0.1, noise_db=-40.0, seed=0):
    """A “word” that glides through the pitches, with two overtones, in faint noise."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, round(seconds * SAMPLE_RATE))
    pitch = np.interp(time, np.linspace(0, 1, len(pitches_hz)), pitches_hz) * rng.uniform(0.97, 1.03)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    word = level * sum(np.sin(phase * overtone) / overtone for overtone in (1, 2, 3))
    wave = np.pad(word, (round(before_s * SAMPLE_RATE), round(after_s * SAMPLE_RATE)))
    return (wave + level * 10 ** (noise_db / 20) * rng.standard_normal(len(wave))).astype(np.float32)


WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250), "bow": (300, 1500, 300)}


@pytest.fixture
def shipped_background(tmp_path_factory, monkeypatch):
    """Thresholds are measured on the shipped background; its frames are computed once in a session."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base  # one folder for all processes of pytest-xdist
    monkeypatch.delenv("EARMARK_BACKGROUND")
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))


class Run(NamedTuple):
    """Exit code and output of a command."""

    code: int | str
    out: str
    err: str


@pytest.fixture
def command_line(monkeypatch, capsys):
    """`command_line("enroll", "rise", path)`: run a command of earmark in this process."""
    from earmark.cli import main

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["earmark", *map(str, arguments)])
        # The command line shows warnings; the tests' own settings would make them errors.
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            with pytest.raises(SystemExit) as stop:
                main()
        output = capsys.readouterr()
        return Run(stop.value.code or 0, output.out, output.err)

    return command


@pytest.fixture(scope="session")
def raises_one_line():
    """`with raises_one_line(InputError, "a.txt: "): …`: the block raises this error, in one line that begins so."""

    @contextmanager
    def raises(kind, beginning):
        with pytest.raises(kind) as error:
            yield
        assert str(error.value).startswith(beginning)
        assert "\n" not in str(error.value)

    return raises


class Loudness:
    """A speech detector: the probability of speech is the peak, or with `least` 1 for a peak above it and 0 below."""

    def __init__(self, least=None):
        self._least = least

    def reset(self):
        pass

    def process_samples(self, samples):
        peak = float(np.abs(samples).max())
        return peak if self._least is None else float(peak > self._least)


@pytest.fixture
def loud_is_speech(monkeypatch):
    """`loud_is_speech()`: put `Loudness` in place of silero."""

    def replace_silero(least=None):
        monkeypatch.setattr("earmark.data.vad.silero", lambda: Loudness(least))

    return replace_silero


@pytest.fixture
def stand_in():
    """An encoder that needs no model file."""
    return StandIn()


@pytest.fixture(scope="session")
def make_encoder():
    """Class of the stand-in encoder; its arguments replace attributes."""
    return StandIn


@pytest.fixture(scope="session")
def own_encoder(tmp_path_factory):
    """The shipped encoder as a user's own: another file, with another fingerprint."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(shipped_file("base")))
    model.producer_name = "mine"
    path = tmp_path_factory.mktemp("own") / "mine.onnx"
    onnx.save(model, str(path))
    return load_encoder(path)


@pytest.fixture(scope="session")
def sum_encoder():
    """An encoder whose embeddings are sums of frames, in three parts."""
    return SumEncoder()


@pytest.fixture(scope="session")
def make_sum_encoder():
    """Class of the encoder of `sum_encoder`; its arguments replace attributes."""
    return SumEncoder


@pytest.fixture(scope="session")
def say():
    """`say("rise", seed=1)`: a take of a word; `say(300, 900)`: one of these pitches."""

    def speak(word, *pitches, **how):
        return _say(*WORDS[word], **how) if isinstance(word, str) else _say(word, *pitches, **how)

    return speak


@pytest.fixture(scope="session")
def hush():
    """`hush(seconds)`: faint noise and nothing else."""
    return _hush


def _hush(seconds, level=0.001, seed=9):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


class StandInSpeaker:
    """Follows the interface of `earmark.models.speaker_encoder.SpeakerEncoder`: the level of each of three hums."""

    name, fingerprint = "stand-in voices", "b01ce5" * 8
    sample_rate, dimension, samples = SAMPLE_RATE, 3, None

    def __init__(self, **changes):
        self.card = {"calibration": {"false_accepts": [0.01, 0.05, 0.1], "threshold": [0.9, 0.8, 0.7], "slope": 20.0}}
        self.embedded = []
        for name, value in changes.items():
            setattr(self, name, value)

    @property
    def calibration(self):
        return Calibration.from_card(self.card, f"speaker encoder {self.name!r}", "false_accepts")

    def embed(self, wave):
        self.embedded.append(len(wave))
        time = np.arange(len(wave)) / SAMPLE_RATE
        found = np.array([abs(np.exp(-2j * np.pi * hum * time) @ wave) + 1e-9 for hum in VOICES.values()])
        return (found / np.linalg.norm(found)).astype(np.float32)

    def embed_batch(self, waves):
        return np.stack([self.embed(wave) for wave in waves])


VOICES = {"alice": 5000.0, "bob": 6000.0, "carol": 7000.0}


@pytest.fixture
def stand_in_speaker():
    """A speaker encoder that needs no model file."""
    return StandInSpeaker()


@pytest.fixture(scope="session")
def make_speaker_encoder():
    """Class of the stand-in speaker encoder; its arguments replace attributes."""
    return StandInSpeaker


@pytest.fixture(scope="session")
def speak(say):
    """`speak("rise", "alice", seed=1)`: a take of a word in a voice, which is a hum that goes with it."""

    def voiced(word, voice, *, before_s=0.4, after_s=0.4, seed=0, **how):
        wave = say(word, before_s=before_s, after_s=after_s, seed=seed, **how)
        start, stop = round(before_s * SAMPLE_RATE), len(wave) - round(after_s * SAMPLE_RATE)
        phase = np.random.default_rng(seed).uniform(0, 2 * np.pi)
        wave[start:stop] += 0.02 * np.sin(2 * np.pi * VOICES[voice] * np.arange(stop - start) / SAMPLE_RATE + phase)
        return wave

    return voiced


@pytest.fixture
def tiny_files():
    """`with tiny_files(4096): …`: no file grows beyond 4096 bytes, as on a full disk."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited(size):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited
