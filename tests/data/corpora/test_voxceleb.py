from collections import Counter
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.corpora.voxceleb import is_test_speaker, read_voxceleb
from earmark.data.manifest import Clip

# The second speaker is among the 40 speakers of the verification test.
NAMES = {"id10001": "A.J._Buckley", "id10270": "Eartha_Kitt", "id10310": "Fran_Drescher"}
LINES = {
    "id10001/1zcIwhmdeo4/00001.wav": 1,
    "id10001/1zcIwhmdeo4/00002.wav": 1,
    "id10001/7gWzIy6yIIk/00001.wav": 2,
    "id10001/9mQ11vBs1wc/00003.wav": 3,
    "id10270/5r0dWxy17C8/00001.wav": 1,
    "id10270/5r0dWxy17C8/00002.wav": 1,
    "id10270/8jEAjG6SegY/00008.wav": 2,
    "id10270/GWXujl-xAVM/00001.wav": 3,
    "id10310/-5f0xdYwDYI/00001.wav": 1,
    "id10310/-5f0xdYwDYI/00002.wav": 1,
    "id10310/M8jtWxBIdkE/00001.wav": 3,
}


def names_of_old(path):
    """Paths as in the first release, with the names of persons and without folders for videos."""
    speaker, video, file = path.split("/")
    return f"{NAMES[speaker]}/{video}_00{file}"


@pytest.fixture
def corpus(tmp_path):
    """`corpus(level, listed)`: a corpus with the recordings below the folder `level`, and its list."""

    def make(level="", listed=lambda path: path, stored=lambda path: path):
        for path in LINES:
            place = tmp_path / "vox" / level / stored(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        lines = [f"{column} {listed(path)}" for path, column in LINES.items()]
        (tmp_path / "iden_split.txt").write_text("\n".join(lines) + "\n")
        return tmp_path / "vox", tmp_path / "iden_split.txt"

    return make


@pytest.mark.parametrize("level", ["", "wav", "dev/wav"])
@pytest.mark.parametrize(
    "listed", [str, lambda path: f"wav/{path}", lambda path: f"txt/{path.replace('.wav', '.txt')}"]
)
def test_identification_has_the_listed_splits_in_every_folder_layout(corpus, level, listed):
    folder, split_list = corpus(level, listed)
    manifest, missing = read_voxceleb(folder, split_list)
    splits = {1: "train", 2: "val", 3: "test"}
    home = f"{level}/" if level else ""
    assert manifest.clips == tuple(
        Clip(home + path, speaker=path.split("/")[0], split=splits[column]) for path, column in LINES.items()
    )
    assert all(manifest.locate(clip).is_file() for clip in manifest)
    assert missing == ()


@pytest.mark.parametrize("names", [str, names_of_old])
def test_verification_tests_speakers_whose_names_begin_with_e(corpus, names):
    folder, split_list = corpus("wav", names, names)
    manifest, _ = read_voxceleb(folder, split_list, mode="verification")
    assert {clip.speaker for clip in manifest.only("test")} == {names("id10270/a/b.wav").split("/")[0]}
    assert Counter(clip.split for clip in manifest) == {"train": 6, "val": 1, "test": 4}
    (val,) = manifest.only("val")
    assert val.path == f"wav/{names('id10001/7gWzIy6yIIk/00001.wav')}"


def test_forty_numbers_are_test_speakers():
    numbers = [number for number in range(10001, 11252) if is_test_speaker(f"id{number}")]
    assert (len(numbers), numbers[0], numbers[-1]) == (40, 10270, 10309)


def test_speakers_are_named_by_folders_even_if_the_first_column_never_falls(corpus):
    folder, split_list = corpus()
    split_list.write_text("\n".join(sorted(split_list.read_text().splitlines())))
    manifest, _ = read_voxceleb(folder, split_list)
    assert {clip.speaker for clip in manifest} == {"id10001", "id10270", "id10310"}
    assert all(clip.path.startswith(clip.speaker) for clip in manifest)


def test_missing_recordings_are_counted_or_skipped(corpus):
    folder, split_list = corpus("wav")
    for name in ("id10001/7gWzIy6yIIk/00001.wav", "id10270/GWXujl-xAVM/00001.wav"):
        (folder / "wav" / name).unlink()
    with pytest.raises(InputError) as error:
        read_voxceleb(folder, split_list)
    assert str(error.value).startswith(f"{folder}: 2 of 11 recordings")
    assert "id10001/7gWzIy6yIIk/00001.wav" in str(error.value)
    assert "skip_missing" in str(error.value)
    manifest, missing = read_voxceleb(folder, split_list, skip_missing=True)
    assert (len(manifest), len(missing)) == (9, 2)


def test_another_folder_is_refused_even_when_missing_recordings_are_skipped(corpus, tmp_path):
    _, split_list = corpus()
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="other: "):
        read_voxceleb(tmp_path / "other", split_list, skip_missing=True)
    with pytest.raises(InputError, match="none: "):
        read_voxceleb(tmp_path / "none", split_list)


def test_a_speaker_who_is_never_trained_on_cannot_be_identified(corpus):
    folder, split_list = corpus()
    split_list.write_text(split_list.read_text().replace("1 id10310", "2 id10310"))
    with pytest.raises(InputError, match="speaker id10310"):
        read_voxceleb(folder, split_list)
    split_list.write_text(split_list.read_text().replace("2 id10310", "1 id10310", 1))
    with pytest.warns(UserWarning, match="id10310"):
        read_voxceleb(folder, split_list)


def test_a_speaker_with_one_training_utterance_gives_a_warning(corpus):
    folder, split_list = corpus()
    split_list.write_text(split_list.read_text().replace("1 id10001/1zcIwhmdeo4/00002.wav\n", ""))
    with pytest.warns(UserWarning, match="speaker id10001"):
        read_voxceleb(folder, split_list)


@pytest.mark.parametrize(
    ("text", "place"), [("1 00001.wav", r"00001\.wav"), ("5 id10001/a/00001.wav", r"iden_split\.txt:1")]
)
def test_a_wrong_list_is_refused(corpus, text, place):
    folder, split_list = corpus()
    split_list.write_text(text)
    with pytest.raises(InputError, match=place):
        read_voxceleb(folder, Path(split_list))


def test_a_list_without_speakers_to_train_on_is_refused(corpus):
    folder, split_list = corpus()
    split_list.write_text("1 id10270/5r0dWxy17C8/00001.wav")
    with pytest.raises(InputError, match=r"iden_split\.txt"):
        read_voxceleb(folder, split_list, mode="verification")
