"""Recordings of synthetic words, and an index of them."""

from contextlib import contextmanager

import pytest

from earmark import audio
from earmark.search import IndexSettings, Recording, update_index


@pytest.fixture
def talks(say, hush, tmp_path):
    """A folder with six recordings; “rise” is said at 1.4 s in those with an even number, “fall” in the others."""
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
    update_index(tmp_path / "talks.index", recordings, sum_encoder, settings=IndexSettings())
    return tmp_path / "talks.index"


@pytest.fixture
def take(say, tmp_path):
    """A file in which another voice says “rise”."""
    audio.write(tmp_path / "rise.wav", say("rise", seed=99))
    return tmp_path / "rise.wav"


@pytest.fixture
def full_disk():
    """`with full_disk(1000):` files cannot grow beyond so many bytes, as on a full disk."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
