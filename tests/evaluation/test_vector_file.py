import numpy as np
import pytest

from earmark import audio
from earmark.errors import InputError
from earmark.evaluation.vector_file import embed_once


@pytest.fixture
def clips(tmp_path, say):
    for number in range(4):
        audio.write(tmp_path / f"{number}.wav", say(300, 900, seed=number))
    return tmp_path


def lengths(waves):
    return np.array([[len(wave), wave.max()] for wave in waves], np.float32)


def test_what_the_file_has_is_not_embedded_again(clips):
    asked = []

    def count(waves):
        asked.append(len(waves))
        return lengths(waves)

    file = clips / "kept" / "vectors.npz"
    first = embed_once(file, "a", ["0.wav", "1.wav"], clips, count)
    told = []
    second = embed_once(file, "a", ["1.wav", "2.wav", "1.wav"], clips, count, progress=lambda *done: told.append(done))
    assert asked == [2, 1]
    assert list(second) == ["1.wav", "2.wav"]
    np.testing.assert_array_equal(first["1.wav"], second["1.wav"])
    assert told[-1] == (2, 2)
    assert embed_once(file, "a", ["0.wav", "2.wav"], clips, count).keys() == {"0.wav", "2.wav"}
    assert asked == [2, 1]


def test_what_was_done_before_a_failure_is_kept(clips, monkeypatch):
    monkeypatch.setattr("earmark.evaluation.vector_file._BETWEEN_SAVES", 1)
    file = clips / "vectors.npz"
    with pytest.raises(InputError, match=r"missing\.wav"):
        embed_once(file, "a", ["0.wav", "missing.wav"], clips, lengths)

    def refuse(waves):
        raise AssertionError(waves)

    assert list(embed_once(file, "a", ["0.wav"], clips, refuse)) == ["0.wav"]


def test_the_vectors_of_another_encoder_and_other_files_are_refused(clips):
    file = clips / "vectors.npz"
    embed_once(file, "a", ["0.wav"], clips, lengths)
    with pytest.raises(InputError, match=r"vectors.npz: vectors of another encoder.*; name another file"):
        embed_once(file, "b", ["0.wav"], clips, lengths)
    with pytest.raises(InputError, match=r"0.wav: no file of vectors; name another"):
        embed_once(clips / "0.wav", "a", ["0.wav"], clips, lengths)
    file.write_bytes(file.read_bytes()[:200])  # cut off in a copy
    with pytest.raises(InputError, match=r"vectors.npz: no file of vectors; name another"):
        embed_once(file, "a", ["0.wav"], clips, lengths)
