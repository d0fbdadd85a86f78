"""A corpus as a folder of recordings, with one folder per word: `casa/anna_nohash_0.wav`."""

import re
from collections.abc import Callable
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest

SPEAKER_PATTERN = r"([^/]+)_nohash_\d+"
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"})
# Lists of Speech Commands; clips that are in neither list are for training.
LISTS = {"validation_list.txt": "val", "testing_list.txt": "test"}


def read_folder(folder: str | Path, *, speaker_pattern: str = SPEAKER_PATTERN) -> Manifest:
    """Make a manifest of a folder of recordings.

    The label of a file is its outermost folder; files outside folders have no label. Folders whose name starts with an
    underscore or a dot get the split noise. The splits of speech come from validation_list.txt and testing_list.txt if
    they exist; otherwise the splits are empty, see `earmark.data.splits.assign_splits`.

    Args:
        folder: the corpus.
        speaker_pattern: regular expression searched in the path below `folder`; its first group is the speaker. The
            speaker of a path without match is unknown.

    Returns:
        Clips in the order of their paths.

    Raises:
        InputError: the folder is missing or has no recordings, or the pattern is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    speaker_in = speaker_finder(speaker_pattern)
    paths = sorted(path.relative_to(folder).as_posix() for path in recordings_in(folder, layout="WORD/FILE"))
    listed = _listed_splits(folder)
    clips = []
    for path in paths:
        label = path.split("/")[0] if "/" in path else ""
        split = listed.get(without_suffix(path), "train") if listed else ""
        if label.startswith(("_", ".")):
            split = "noise"
        clips.append(Clip(path, speaker=speaker_in(path), label=label, split=split))
    return Manifest(tuple(clips), folder)


def recordings_in(folder: Path, *, below: bool = True, layout: str = "FILE") -> list[Path]:
    """The recordings of a folder, sorted by path.

    Args:
        folder: an existing folder.
        below: also list the recordings of all folders below it.
        layout: expected path of a recording without its suffix, for the message.

    Raises:
        InputError: the folder contains no recording.
    """
    found = sorted(
        path
        for path in (folder.rglob("*") if below else folder.iterdir())
        # macOS writes "._name.wav" files, which are not audio.
        if path.suffix.lower() in SOUND_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        suffixes = ",".join(sorted(SOUND_SUFFIXES))
        raise InputError(f"{folder}: the folder contains no recordings; expected {layout}{{{suffixes}}}")
    return found


def speaker_finder(speaker_pattern: str = SPEAKER_PATTERN) -> Callable[[str], str]:
    """Make a function from a path below the corpus to the speaker; "" if the pattern does not match.

    Raises:
        InputError: the pattern is not a regular expression or has no group.
    """
    try:
        pattern = re.compile(speaker_pattern)
    except re.error as error:
        raise InputError(
            f"{speaker_pattern!r} is not a regular expression ({error}); correct it",
            key="speaker_pattern",
        ) from error
    if not pattern.groups:
        raise InputError(
            f"{speaker_pattern!r} has no group; put the speaker in parentheses, as in {SPEAKER_PATTERN!r}",
            key="speaker_pattern",
        )

    def speaker_in(path: str) -> str:
        found = pattern.search(path)
        return (found[1] or "") if found else ""

    return speaker_in


def without_suffix(path: str) -> str:
    """Remove the suffix of a path, so that copies of a corpus in other audio formats have the same paths.

    >>> without_suffix("yes/anna_nohash_0.opus")
    'yes/anna_nohash_0'
    """
    return path.rpartition(".")[0]


def _listed_splits(folder: Path) -> dict[str, str]:
    return {
        without_suffix(line.strip()): split
        for name, split in LISTS.items()
        if (folder / name).is_file()
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
        if line.strip()
    }
