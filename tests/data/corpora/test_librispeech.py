from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.corpora.librispeech import read_librispeech
from earmark.data.manifest import Clip

TEXTS = {
    "train-clean-100/19/198/19-198-0000": "NORTHANGER ABBEY",
    "train-clean-100/19/198/19-198-0001": "THIS LITTLE WORK WAS FINISHED",
    "dev-other/116/288045/116-288045-0000": "AS I APPROACHED THE CITY",
    "test-clean/61/70968/61-70968-0000": "HE BEGAN A CONFUSED COMPLAINT",
}


def librispeech(root: Path, suffix: str = ".flac") -> Path:
    for place, text in TEXTS.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name + suffix).touch()
        with (path.parent / f"{path.name.rpartition('-')[0]}.trans.txt").open("a") as file:
            file.write(f"{path.name} {text}\n")
    (root / "SPEAKERS.TXT").write_text(";ID  |SEX| SUBSET           |MINUTES| NAME\n")
    return root


CLIPS = (
    Clip("dev-other/116/288045/116-288045-0000.flac", speaker="116", split="val", text="AS I APPROACHED THE CITY"),
    Clip("test-clean/61/70968/61-70968-0000.flac", speaker="61", split="test", text="HE BEGAN A CONFUSED COMPLAINT"),
    Clip("train-clean-100/19/198/19-198-0000.flac", speaker="19", split="train", text="NORTHANGER ABBEY"),
    Clip("train-clean-100/19/198/19-198-0001.flac", speaker="19", split="train", text="THIS LITTLE WORK WAS FINISHED"),
)


@pytest.mark.parametrize("given", ["LibriSpeech", "."])
def test_speaker_text_and_split_are_read(tmp_path: Path, given: str) -> None:
    home = librispeech(tmp_path / "LibriSpeech")
    manifest = read_librispeech(tmp_path / given)
    assert manifest.clips == CLIPS
    assert manifest.folder == home


def test_one_subset_is_read_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subset = librispeech(tmp_path) / "dev-other"
    (clip,) = read_librispeech(subset)
    assert clip == Clip("116/288045/116-288045-0000.flac", speaker="116", split="val", text="AS I APPROACHED THE CITY")
    monkeypatch.chdir(subset)
    assert read_librispeech(".").clips == (clip,)


def test_recordings_may_be_stored_in_another_format(tmp_path: Path) -> None:
    paths = [clip.path for clip in read_librispeech(librispeech(tmp_path, ".opus"))]
    assert paths == [clip.path.replace(".flac", ".opus") for clip in CLIPS]


def test_an_utterance_without_a_text_is_refused(tmp_path: Path) -> None:
    home = librispeech(tmp_path)
    (home / "dev-other/116/288045/116-288045-0007.flac").touch()
    with pytest.raises(InputError, match=r"116-288045\.trans\.txt: .*116-288045-0007"):
        read_librispeech(home)


def test_a_chapter_without_transcripts_is_refused(tmp_path: Path) -> None:
    home = librispeech(tmp_path)
    (home / "dev-other/116/288045/116-288045.trans.txt").unlink()
    with pytest.raises(InputError, match=r"116-288045\.trans\.txt"):
        read_librispeech(home)


def test_texts_without_a_recording_are_dropped_with_a_warning(tmp_path: Path) -> None:
    home = librispeech(tmp_path)
    (home / "train-clean-100/19/198/19-198-0000.flac").unlink()
    with pytest.warns(UserWarning, match="19-198-0000"):
        assert len(read_librispeech(home)) == 3


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    home = librispeech(tmp_path)
    with (home / "train-clean-100/19/198/19-198.trans.txt").open("a") as file:
        file.write("19-198-0002\n")
    with pytest.raises(InputError, match=r"19-198\.trans\.txt:3"):
        read_librispeech(home)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["words/yes"], "train-clean-100"),
        (["train-clean-100"], "SPEAKER/CHAPTER/"),
        (["train-clean-100/19/198"], "SPEAKER/CHAPTER/"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, folders: list[str], message: str) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=message):
        read_librispeech(tmp_path)


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        read_librispeech(tmp_path / "absent")
