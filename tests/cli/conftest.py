"""What tests of the command line share: a way to run it, and files good and bad."""

import numpy as np
import pytest
import soundfile as sf
import soxr

from earmark import audio


@pytest.fixture
def run(stand_in, tmp_path, monkeypatch, command_line):
    """`run("enroll", "rise", path)`: the command line in this process, with the stand-in encoder and an empty store."""
    monkeypatch.setenv("EARMARK_STORE", str(tmp_path / "store" / "keywords.earmark"))
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _name=None: stand_in)
    return command_line


@pytest.fixture
def takes(say, tmp_path):
    """Five files in which “rise” is said."""
    paths = [tmp_path / f"rise_{seed}.wav" for seed in range(5)]
    for seed, path in enumerate(paths):
        audio.write(path, say("rise", seed=seed))
    return paths


@pytest.fixture
def enrolled(run, takes):
    """`run`, after “rise” was enrolled."""
    assert run("enroll", "rise", *takes).code == 0
    return run


@pytest.fixture
def talk(say, tmp_path):
    """A file in which “rise” is said at 1.4 s, and “fall” at 3.0 s."""
    path = tmp_path / "talk [1].flac"
    audio.write(
        path, np.concatenate([say("rise", before_s=1.4, after_s=0.5, seed=7), say("fall", before_s=0.5, seed=8)])
    )
    return path


@pytest.fixture
def odd_file(say, tmp_path):
    """`odd_file(kind)`: a recording of “rise” that is fine but unusual, or something that is no recording."""

    def make(kind):
        path = tmp_path / f"{kind.replace(' ', '_')}.{'flac' if kind == 'three hours' else 'wav'}"
        WRITE[kind](path, say("rise", seed=7))
        return path

    return make


def _write_not_a_number(path, word):
    word[9000] = np.nan
    sf.write(path, word, 16_000, subtype="FLOAT")


def _write_stereo(path, word):
    high = soxr.resample(word, 16_000, 96_000)
    sf.write(path, np.stack([high, 0.5 * high], axis=1), 96_000, subtype="PCM_24")


def _write_cut_off(path, word):
    sf.write(path, np.pad(word, (0, 32_000)), 16_000)
    path.write_bytes(path.read_bytes()[:50_000])


def _write_three_hours(path, _word):
    with sf.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(180):
            file.write(np.zeros(60 * 16_000, np.int16))


WRITE = {
    "empty": lambda path, _: path.write_bytes(b""),
    "no samples": lambda path, _: sf.write(path, np.zeros(0, np.float32), 16_000),
    "silent": lambda path, _: sf.write(path, np.zeros(32_000), 16_000),
    "text": lambda path, _: path.write_text("this is no sound\n" * 50),
    "eight bits": lambda path, word: sf.write(path, word, 16_000, subtype="PCM_U8"),
    "folder": lambda path, _: path.mkdir(),
    "absent": lambda *_: None,
    "not a number": _write_not_a_number,
    "stereo 96 kHz": _write_stereo,
    "cut off": _write_cut_off,
    "three hours": _write_three_hours,
}
