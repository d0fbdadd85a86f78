"""Recordings of stand-in words, and an index of them."""

import pytest

from earmark import audio
from earmark.search import IndexSettings, Recording, update


@pytest.fixture
def talks(say, hush, tmp_path):
    """A folder of six recordings; “rise” is said at 1.4 s in those of an even number, “fall” in the others."""
    folder = tmp_path / "talks"
    folder.mkdir()
    for number in range(6):
        word = say("fall" if number % 2 else "rise", before_s=1.4, after_s=2.0, seed=number)
        audio.write(folder / f"{number}.wav", word + 0.5 * hush(len(word) / 16_000, seed=number))
    return folder


@pytest.fixture
def recordings(talks):
    return [Recording(path) for path in sorted(talks.iterdir())]


@pytest.fixture
def index(tmp_path, recordings, sum_encoder):
    """The index of the talks."""
    update(tmp_path / "talks.index", recordings, sum_encoder, settings=IndexSettings())
    return tmp_path / "talks.index"


@pytest.fixture
def take(say, tmp_path):
    """A file in which another voice says “rise”."""
    audio.write(tmp_path / "rise.wav", say("rise", seed=99))
    return tmp_path / "rise.wav"
