from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.corpora.folder import read_folder
from earmark.data.manifest import Clip


def folder_with(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_folders_are_labels_and_names_before_nohash_are_speakers(tmp_path: Path) -> None:
    root = folder_with(tmp_path, "yes/anna_b_nohash_0.wav", "no/ben_nohash_12.opus", "no/unnamed.flac")
    assert read_folder(root).clips == (
        Clip("no/ben_nohash_12.opus", speaker="ben", label="no"),
        Clip("no/unnamed.flac", label="no"),
        Clip("yes/anna_b_nohash_0.wav", speaker="anna_b", label="yes"),
    )
    assert read_folder(root).folder == root


def test_folders_that_start_with_an_underscore_or_a_point_are_noise(tmp_path: Path) -> None:
    root = folder_with(tmp_path, "_background_noise_/fan.wav", ".rooms/hall.wav", "go/a.wav")
    assert {clip.label: clip.split for clip in read_folder(root)} == {
        "_background_noise_": "noise",
        ".rooms": "noise",
        "go": "",
    }


def test_other_files_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    root = folder_with(tmp_path, "go/a.WAV", "go/._a.wav", "go/notes.txt", "LICENSE")
    assert [clip.path for clip in read_folder(root)] == ["go/a.WAV"]


def test_a_pattern_can_find_the_speaker_in_an_inner_folder(tmp_path: Path) -> None:
    root = folder_with(tmp_path, "go/anna/1.wav", "go/ben/1.wav", "loose.wav")
    clips = read_folder(root, speaker_pattern=r"^[^/]+/([^/]+)/").clips
    assert [(clip.label, clip.speaker) for clip in clips] == [("go", "anna"), ("go", "ben"), ("", "")]


def test_splits_come_from_the_lists_of_speech_commands(tmp_path: Path) -> None:
    root = folder_with(tmp_path, *(f"go/{speaker}_nohash_0.wav" for speaker in "abc"), "_noise_/fan.wav")
    (root / "validation_list.txt").write_text("go/b_nohash_0.wav\n")
    (root / "testing_list.txt").write_text("go/c_nohash_0.wav\n")
    assert [clip.split for clip in read_folder(root)] == ["noise", "train", "val", "test"]


@pytest.mark.parametrize("pattern", ["(", r"\w+"])
def test_a_pattern_without_a_speaker_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InputError, match="speaker_pattern"):
        read_folder(folder_with(tmp_path, "go/a.wav"), speaker_pattern=pattern)


def test_an_absent_folder_and_one_without_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        read_folder(tmp_path / "absent")
    with pytest.raises(InputError, match=str(tmp_path)):
        read_folder(tmp_path)
