import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.evaluation.embedding_cache import embed_into

KEY = {"fingerprint": "abc", "crops": 2}


class Counting:
    """An embedder that counts waves; an embedding is the length and the sum of a wave."""

    name, fingerprint, classes = "counting", "abc", ()

    def __init__(self, wrong=None):
        self.count = 0
        self.wrong = wrong

    def embed_batch(self, waves):
        self.count += len(waves)
        rows = np.array([[len(wave), np.abs(wave).sum()] for wave in waves])
        return rows if self.wrong is None else np.full_like(rows, self.wrong)


@pytest.fixture
def embed(tmp_path, hush):
    """`embed(embedder, numbers)`: embeddings of some of five recordings of faint noise, kept in a file."""
    for number in range(5):
        audio.write(tmp_path / f"{number}.wav", hush(0.1 + 0.1 * number, level=0.1, seed=number))
    audio.write(tmp_path / "silent.wav", np.zeros(1600, np.float32))

    def run(embedder, numbers=range(5), key=KEY, folder="", **how):
        places = {f"{number}.wav": tmp_path / folder / f"{number}.wav" for number in numbers}
        names = {path: f"voice {path}" for path in places}
        file = tmp_path / "kept" / "embeddings.npz"
        return embed_into(file, places, embedder.embed_batch, key=key, speakers=names, batch_clips=2, **how), file

    return run


def test_embeddings_and_speakers_are_in_the_file(embed):
    found, file = embed(Counting())
    with np.load(file, allow_pickle=False) as stored:
        assert stored["paths"].tolist() == list(found.paths) == [f"{number}.wav" for number in range(5)]
        assert stored["speakers"].tolist() == [f"voice {path}" for path in found.paths]
        np.testing.assert_array_equal(stored["vectors"], found.vectors)
    assert found.vectors[:, 0].tolist() == [1600, 3200, 4800, 6400, 8000]
    assert found.by_path["2.wav"].tolist() == found.vectors[2].tolist()


def test_embeddings_in_the_file_are_reused(embed):
    before, after = Counting(), Counting()
    embed(before, range(3))
    found, _ = embed(after)
    assert (before.count, after.count) == (3, 2)
    assert found.vectors[:, 0].tolist() == [1600, 3200, 4800, 6400, 8000]


def test_recordings_of_earlier_calls_follow_those_of_this_call(embed):
    embed(Counting(), [0, "silent", 1], silence="skip")
    again = Counting()
    found, file = embed(again, [2, 1])
    assert again.count == 1
    assert found.paths == ("2.wav", "1.wav")
    with np.load(file, allow_pickle=False) as stored:
        assert stored["paths"].tolist() == ["2.wav", "1.wav", "0.wav"]
        assert stored["speakers"].tolist() == ["voice 2.wav", "voice 1.wav", "voice 0.wav"]
        assert stored["vectors"][:, 0].tolist() == [4800, 3200, 1600]
        assert stored["silent"].tolist() == ["silent.wav"]
    embed(again, [0, "silent"], silence="skip")
    assert again.count == 1


@pytest.mark.parametrize("key", [KEY | {"fingerprint": "other"}, KEY | {"crops": 3}])
def test_embeddings_of_another_encoder_or_other_crops_are_not_reused(embed, key):
    embed(Counting())
    again = Counting()
    embed(again, key=key)
    assert again.count == 5


def test_a_recording_of_the_same_path_in_another_folder_or_changed_since_is_embedded_again(embed, tmp_path, hush):
    embed(Counting())
    audio.write(tmp_path / "3.wav", hush(0.7, level=0.1, seed=9))
    again = Counting()
    assert embed(again)[0].vectors[:, 0].tolist() == [1600, 3200, 4800, 11200, 8000]
    assert again.count == 1
    (tmp_path / "other").mkdir()
    audio.write(tmp_path / "other" / "0.wav", hush(0.9, level=0.1, seed=8))
    assert embed(Counting(), [0], folder="other")[0].vectors[:, 0].tolist() == [14400]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive at all"])
def test_a_damaged_file_is_replaced(embed, content):
    _, file = embed(Counting())
    file.write_bytes(content)
    again = Counting()
    embed(again)
    assert again.count == 5


def test_a_file_of_other_content_is_not_overwritten(embed):
    _, file = embed(Counting(), refuse_others=True)
    assert embed(Counting(), refuse_others=True)[0].paths == tuple(f"{number}.wav" for number in range(5))
    with pytest.raises(InputError, match=r"embeddings\.npz.*fingerprint"):
        embed(Counting(), key=KEY | {"fingerprint": "other"}, refuse_others=True)
    for content in (file.read_bytes()[:200], b"no archive at all"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"embeddings\.npz"):
            embed(Counting(), refuse_others=True)
        assert file.read_bytes() == content


def test_an_interrupted_call_is_continued(embed):
    def stop(_stage, done, _total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(Counting(), progress=stop)
    again, calls = Counting(), []
    embed(again, progress=lambda *counts: calls.append(counts))
    assert again.count == 1
    assert [call[1:] for call in calls] == [(4, 5), (5, 5)]


def test_a_full_disk_is_an_error_that_names_the_file_and_keeps_it(embed, tiny_files):
    _, file = embed(Counting(), range(2))
    before = file.read_bytes()
    with tiny_files(500), pytest.raises(EarmarkError, match=r"embeddings\.npz"):
        embed(Counting())
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == before


def test_digital_silence_is_refused_or_skipped(embed):
    paths = [0, "silent", 1]
    for _ in range(2):  # the second time from the file
        with pytest.raises(InputError, match=r"silent\.wav"):
            embed(Counting(), paths)
    for _ in range(2):
        found, _ = embed(Counting(), paths, silence="skip")
        assert (found.paths, found.silent) == (("0.wav", "1.wav"), ("silent.wav",))
        assert found.vectors[:, 0].tolist() == [1600, 3200]
    embed(Counting(), [0, 1, 2])  # silent recordings of other calls do not matter
    with pytest.raises(InputError, match="1 recordings"):
        embed(Counting(), ["silent"], silence="skip")


def test_digital_silence_can_be_embedded(embed):
    embed(Counting(), [0, "silent"], silence="skip")
    for expected in (1, 0):
        again = Counting()
        assert embed(again, [0, "silent"], silence="embed")[0].vectors[:, 0].tolist() == [1600, 1600]
        assert again.count == expected
    assert not embed(Counting(0.0), [1], silence="embed")[0].vectors.any()


def test_a_silent_recording_can_be_recorded_again(embed, tmp_path, hush):
    with pytest.raises(InputError, match=r"silent\.wav"):
        embed(Counting(), [0, "silent"])
    audio.write(tmp_path / "silent.wav", hush(0.2, level=0.1, seed=9))
    assert embed(Counting(), [0, "silent"])[0].vectors[:, 0].tolist() == [1600, 3200]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_embedding_without_a_direction_names_its_recording(embed, value):
    with pytest.raises(InputError, match=r"0\.wav"):
        embed(Counting(value))
