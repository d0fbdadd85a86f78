from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.corpora.musan import read_musan
from earmark.data.manifest import Clip

FILES = (
    "README",
    "music/fma/ANNOTATIONS",
    "music/fma/LICENSE",
    "music/fma/music-fma-0000.wav",
    "noise/free-sound/noise-free-sound-0000.wav",
    "noise/sound-bible/noise-sound-bible-0003.wav",
    "speech/us-gov/speech-us-gov-0011.wav",
)


def musan(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize("given", ["musan", "."])
def test_the_kind_is_the_label_and_everything_is_noise(tmp_path: Path, given: str) -> None:
    home = musan(tmp_path / "musan", *FILES)
    manifest = read_musan(tmp_path / given)
    assert manifest.folder == home
    assert manifest.clips == (
        Clip("music/fma/music-fma-0000.wav", label="music", split="noise"),
        Clip("noise/free-sound/noise-free-sound-0000.wav", label="noise", split="noise"),
        Clip("noise/sound-bible/noise-sound-bible-0003.wav", label="noise", split="noise"),
        Clip("speech/us-gov/speech-us-gov-0011.wav", label="speech", split="noise"),
    )


def test_one_kind_alone_is_read_and_other_folders_are_ignored(tmp_path: Path) -> None:
    home = musan(tmp_path, "noise/free-sound/a.wav", "extra/b.wav", "noise_of_mine/c.wav")
    assert [clip.path for clip in read_musan(home)] == ["noise/free-sound/a.wav"]


@pytest.mark.parametrize(
    "names",
    [["babble/a.wav"], ["noise/free-sound/LICENSE"], ["noise/free-sound/LICENSE", "other/a.wav"]],
)
def test_another_layout_is_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        read_musan(musan(tmp_path, *names))


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        read_musan(tmp_path / "absent")
