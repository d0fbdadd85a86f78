import errno

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.evaluation.embedding_cache import embed_into

KEY = {"fingerprint": "abc", "crops": 2}


class Counting:
    """An embedder that counts what it hears; its embedding says how loud and how long a wave is."""

    name, fingerprint, classes = "counting", "abc", ()

    def __init__(self, wrong=None):
        self.heard = 0
        self.wrong = wrong

    def embed_batch(self, waves):
        self.heard += len(waves)
        rows = np.array([[len(wave), np.abs(wave).sum()] for wave in waves])
        return rows if self.wrong is None else np.full_like(rows, self.wrong)


@pytest.fixture
def embed(tmp_path, hush):
    """`embed(embedder, paths)`: embeddings of five recordings in faint noise, kept in a file."""
    for number in range(5):
        audio.write(tmp_path / f"{number}.wav", hush(0.1 + 0.1 * number, level=0.1, seed=number))
    audio.write(tmp_path / "silent.wav", np.zeros(1600, np.float32))

    def run(embedder, numbers=range(5), key=KEY, folder="", **how):
        places = {f"{number}.wav": tmp_path / folder / f"{number}.wav" for number in numbers}
        names = {path: f"voice {path}" for path in places}
        file = tmp_path / "kept" / "embeddings.npz"
        return embed_into(file, places, embedder.embed_batch, key=key, speakers=names, at_once=2, **how), file

    return run


def test_embeddings_and_who_speaks_are_in_the_file(embed):
    found, file = embed(Counting())
    with np.load(file, allow_pickle=False) as stored:
        assert stored["paths"].tolist() == list(found.paths) == [f"{number}.wav" for number in range(5)]
        assert stored["speakers"].tolist() == [f"voice {path}" for path in found.paths]
        np.testing.assert_array_equal(stored["vectors"], found.vectors)
    assert found.vectors[:, 0].tolist() == [1600, 3200, 4800, 6400, 8000]
    assert found.by_path["2.wav"].tolist() == found.vectors[2].tolist()


def test_what_the_file_holds_is_not_embedded_again(embed):
    before, after = Counting(), Counting()
    embed(before, range(3))
    found, _ = embed(after)
    assert (before.heard, after.heard) == (3, 2)
    assert found.vectors[:, 0].tolist() == [1600, 3200, 4800, 6400, 8000]


def test_what_others_asked_for_stays_behind_what_is_asked_for(embed):
    embed(Counting(), [0, "silent", 1], silence="skip")
    again = Counting()
    found, file = embed(again, [2, 1])
    assert again.heard == 1
    assert found.paths == ("2.wav", "1.wav")
    with np.load(file, allow_pickle=False) as stored:
        assert stored["paths"].tolist() == ["2.wav", "1.wav", "0.wav"]
        assert stored["speakers"].tolist() == ["voice 2.wav", "voice 1.wav", "voice 0.wav"]
        assert stored["vectors"][:, 0].tolist() == [4800, 3200, 1600]
        assert stored["silent"].tolist() == ["silent.wav"]
    embed(again, [0, "silent"], silence="skip")
    assert again.heard == 1


@pytest.mark.parametrize("key", [KEY | {"fingerprint": "other"}, KEY | {"crops": 3}])
def test_embeddings_of_another_encoder_or_other_crops_are_embedded_anew(embed, key):
    embed(Counting())
    again = Counting()
    embed(again, key=key)
    assert again.heard == 5


def test_a_recording_of_the_same_path_in_another_folder_or_made_anew_is_embedded_anew(embed, tmp_path, hush):
    embed(Counting())
    audio.write(tmp_path / "3.wav", hush(0.7, level=0.1, seed=9))
    again = Counting()
    assert embed(again)[0].vectors[:, 0].tolist() == [1600, 3200, 4800, 11200, 8000]
    assert again.heard == 1
    (tmp_path / "other").mkdir()
    audio.write(tmp_path / "other" / "0.wav", hush(0.9, level=0.1, seed=8))
    assert embed(Counting(), [0], folder="other")[0].vectors[:, 0].tolist() == [14400]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive at all"])
def test_a_file_that_was_cut_off_is_made_anew(embed, content):
    _, file = embed(Counting())
    file.write_bytes(content)
    again = Counting()
    embed(again)
    assert again.heard == 5


def test_a_file_named_by_hand_is_not_overwritten(embed):
    _, file = embed(Counting(), refuse_others=True)
    assert embed(Counting(), refuse_others=True)[0].paths == tuple(f"{number}.wav" for number in range(5))
    with pytest.raises(InputError, match=r"embeddings\.npz: embeddings of another encoder.*; name another file"):
        embed(Counting(), key=KEY | {"fingerprint": "other"}, refuse_others=True)
    for content in (file.read_bytes()[:200], b"no archive at all"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"embeddings\.npz: no file of embeddings; name another"):
            embed(Counting(), refuse_others=True)
        assert file.read_bytes() == content


def test_a_run_that_was_stopped_goes_on(embed):
    def stop(done, _):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(Counting(), progress=stop)
    again, told = Counting(), []
    embed(again, progress=lambda *counts: told.append(counts))
    assert again.heard == 1
    assert told == [(4, 5), (5, 5)]


def test_a_full_disk_is_told_with_the_file_and_leaves_what_was_there(embed, monkeypatch):
    _, file = embed(Counting(), range(2))
    before = file.read_bytes()

    def fill(partial, **_):
        partial.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", fill)
    with pytest.raises(EarmarkError, match=r"embeddings\.npz: cannot be written \(No space left.*make room"):
        embed(Counting())
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == before


def test_digital_silence_is_named_or_left_out(embed):
    paths = [0, "silent", 1]
    for _ in range(2):  # the second time out of the file
        with pytest.raises(InputError, match=r"silent.wav: nothing but digital silence.*--skip-missing"):
            embed(Counting(), paths)
    for _ in range(2):
        found, _ = embed(Counting(), paths, silence="skip")
        assert (found.paths, found.silent) == (("0.wav", "1.wav"), ("silent.wav",))
        assert found.vectors[:, 0].tolist() == [1600, 3200]
    embed(Counting(), [0, 1, 2])  # silence elsewhere is no fault of this list
    with pytest.raises(InputError, match="1 recordings, and all of them are silent"):
        embed(Counting(), ["silent"], silence="skip")


def test_digital_silence_may_be_embedded_like_any_other_sound(embed):
    embed(Counting(), [0, "silent"], silence="skip")
    for expected in (1, 0):
        again = Counting()
        assert embed(again, [0, "silent"], silence="embed")[0].vectors[:, 0].tolist() == [1600, 1600]
        assert again.heard == expected
    assert not embed(Counting(0.0), [1], silence="embed")[0].vectors.any()


def test_a_silent_recording_may_be_recorded_again(embed, tmp_path, hush):
    with pytest.raises(InputError, match=r"silent.wav: nothing but digital silence"):
        embed(Counting(), [0, "silent"])
    audio.write(tmp_path / "silent.wav", hush(0.2, level=0.1, seed=9))
    assert embed(Counting(), [0, "silent"])[0].vectors[:, 0].tolist() == [1600, 3200]


@pytest.mark.parametrize(("value", "said"), [(0.0, "zero"), (np.nan, "not finite"), (np.inf, "not finite")])
def test_an_embedding_without_a_direction_names_its_recording(embed, value, said):
    with pytest.raises(InputError, match=rf"0.wav: its embedding is {said}, which has no direction"):
        embed(Counting(value))
