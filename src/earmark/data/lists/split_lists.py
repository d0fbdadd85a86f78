"""Lists of utterances in the format of VoxCeleb's `iden_split.txt`, and who speaks in them.

A line is `1 path` where the utterance trains, `2 path` where it validates, `3 path` where it tests. The folder that a
path begins with names the speaker: `3 id10003/na8-QEFmj44/00003.wav`.

A. Nagrani, J. S. Chung and A. Zisserman, “VoxCeleb: a large-scale speaker identification dataset”, Interspeech 2017.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import known_speakers, read_lines
from earmark.data.manifest import read_manifest

SPLITS = {"1": "train", "2": "val", "3": "test"}
"""What the first column says."""

# The corpus is unpacked with or without these folders around the speakers'; lists leave them out, or do not.
_LEVELS = ("wav", "txt", "dev", "test")
_HOMES = ("", "wav/", "dev/wav/", "test/wav/")
_LIST_LEVEL = re.compile(r"^(\./)?(wav|txt)/")


@dataclass(frozen=True)
class Utterance:
    """One line of a list.

    Attributes:
        split: train, val or test.
        path: the recording, relative to the folder of the corpus.
    """

    split: str
    path: str


def read_split_list(path: Path) -> tuple[Utterance, ...]:
    """Read a list in the format of `iden_split.txt`; empty lines are skipped.

    Raises:
        InputError: the list cannot be read, is empty, or has a line that is malformed or names a recording twice.
            The message names the file and the line.
    """
    seen: dict[str, int] = {}
    found = []
    for number, line in read_lines(path):
        column, _, recording = line.partition(" ")
        recording = recording.strip()
        if column not in SPLITS or not recording:
            raise InputError(f"{path}:{number}: expected '1 path', '2 path' or '3 path', got {line!r}")
        if recording in seen:
            raise InputError(f"{path}:{number}: {recording} stands already in line {seen[recording]}; remove one")
        seen[recording] = number
        found.append(Utterance(SPLITS[column], recording))
    if not found:
        raise InputError(f"{path}: the list is empty; write one utterance a line, '1 path', '2 path' or '3 path'")
    return tuple(found)


def write_split_list(utterances: Iterable[Utterance], path: Path) -> None:
    """Write a list that `read_split_list` reads back.

    Raises:
        InputError: a split or a path that the format cannot hold.
    """
    columns = {split: column for column, split in SPLITS.items()}
    lines = []
    for utterance in utterances:
        recording = utterance.path
        if utterance.split not in columns or not recording or recording != recording.strip() or "\n" in recording:
            raise InputError(f"{path}: {utterance} does not fit on one line '1 path', '2 path' or '3 path'")
        lines.append(f"{columns[utterance.split]} {recording}\n")
    path.write_text("".join(lines), encoding="utf-8")


def speaker_folder(path: str) -> str:
    """The speaker that a path's first folder names; "" where the path has no folder.

    >>> speaker_folder("id10003/na8-QEFmj44/00003.wav"), speaker_folder("wav/Eartha_Kitt/x8x_0000001.wav")
    ('id10003', 'Eartha_Kitt')
    """
    folders = path.split("/")[:-1]
    while folders and folders[0] in (*_LEVELS, "."):
        folders = folders[1:]
    return folders[0] if folders else ""


def recording_finder(folder: Path) -> Callable[[str], str | None]:
    """A function from a path in a list to where the recording lies below the folder; None where it does not.

    The archives may have been unpacked into `wav`, or into `dev/wav` and `test/wav`, whatever the list writes; older
    lists may name the description of an utterance, `txt/id10001/VIDEO/00001.txt`, instead of its recording.
    """
    homes = list(_HOMES)

    def find(listed: str) -> str | None:
        if (folder / listed).is_file() and not listed.endswith(".txt"):
            return listed
        path = _LIST_LEVEL.sub("", listed)
        path = path.removesuffix(".txt") + ".wav" if path.endswith(".txt") else path
        for home in homes:
            if (folder / home / path).is_file():
                # The next one lies beside it, as a rule.
                homes.remove(home)
                homes.insert(0, home)
                return home + path
        return None

    return find


def speaker_naming(audio: Path, *, beside: Path | None = None, manifest: Path | None = None) -> Callable[[str], str]:
    """A function from a path in a list to the speaker, "" where nothing says who speaks.

    Speakers stand in the manifest that is given; else in manifest.tsv beside the list or in the folder of the corpus,
    whichever knows the path; else the path's first folder is the speaker's.

    Args:
        audio: the folder that paths start from.
        beside: the list.
        manifest: knows all of the speakers.

    Raises:
        InputError: a manifest that cannot be read.
    """
    places = [manifest] if manifest else [(beside or audio).with_name("manifest.tsv"), audio / "manifest.tsv"]
    known = [known_speakers(read_manifest(place), audio) for place in places if manifest or place.is_file()]

    def speaker_of(path: str) -> str:
        named = next(filter(None, (speaker(path) for speaker in known)), "")
        return named or ("" if manifest else speaker_folder(path))

    return speaker_of
