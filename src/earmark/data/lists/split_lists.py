"""Lists of utterances in the format of VoxCeleb's `iden_split.txt`, and the speakers of the utterances.

A line is `1 path` for training, `2 path` for validation, `3 path` for testing. The first folder of the path is the
speaker: `3 id10003/na8-QEFmj44/00003.wav`.

A. Nagrani, J. S. Chung and A. Zisserman, “VoxCeleb: a large-scale speaker identification dataset”, Interspeech 2017.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import known_speakers
from earmark.data.lists.list_format import ListFormat, choice, read_records, text, write_records
from earmark.data.manifest import read_manifest

SPLITS = {"1": "train", "2": "val", "3": "test"}
"""Split by the first column."""

# Depending on how the corpus was unpacked, these folders are around the folders of speakers or not; paths in lists too.
_LEVELS = ("wav", "txt", "dev", "test")
_PARENTS = ("", "wav/", "dev/wav/", "test/wav/")
_LIST_LEVEL = re.compile(r"^(\./)?(wav|txt)/")


@dataclass(frozen=True)
class Utterance:
    """One line of a list of utterances.

    Attributes:
        split: train, val or test.
        path: path of the recording, relative to the folder of the corpus.
    """

    split: str
    path: str


UTTERANCES = ListFormat(
    Utterance,
    (choice("1|2|3", SPLITS), text("path")),
    values=lambda utterance: (utterance.split, utterance.path),
    has_spaces=True,
)


def read_split_list(path: Path) -> tuple[Utterance, ...]:
    """Read a list in the format of `iden_split.txt`.

    Raises:
        InputError: see `read_records`; or a recording is listed twice.
    """
    lines: dict[str, int] = {}

    def check(utterance: Utterance, line_number: int) -> None:
        if utterance.path in lines:
            raise InputError(
                f"{utterance.path} is in line {lines[utterance.path]} already; remove one of the two lines"
            )
        lines[utterance.path] = line_number

    return tuple(read_records(path, UTTERANCES, check))


def write_split_list(utterances: Iterable[Utterance], path: Path) -> None:
    """Write a list in the format of `iden_split.txt`.

    Raises:
        InputError: a split or a path does not fit the format.
    """
    write_records(utterances, path, UTTERANCES)


def speaker_folder(path: str) -> str:
    """The speaker of a path: the name of its first folder, without `wav` and the like; "" for a path without folder.

    >>> speaker_folder("id10003/na8-QEFmj44/00003.wav"), speaker_folder("wav/Eartha_Kitt/x8x_0000001.wav")
    ('id10003', 'Eartha_Kitt')
    """
    folders = path.split("/")[:-1]
    while folders and folders[0] in (*_LEVELS, "."):
        folders = folders[1:]
    return folders[0] if folders else ""


def recording_finder(folder: Path) -> Callable[[str], str | None]:
    """Make a function from a path in a list to the path of the recording below a folder; None if it is missing.

    The recordings may be below `wav`, or below `dev/wav` and `test/wav`, whatever the paths in the list. Older lists
    name the description of an utterance, `txt/id10001/VIDEO/00001.txt`, instead of its recording.
    """
    parents = list(_PARENTS)

    def find(listed: str) -> str | None:
        if (folder / listed).is_file() and not listed.endswith(".txt"):
            return listed
        path = _LIST_LEVEL.sub("", listed)
        path = path.removesuffix(".txt") + ".wav" if path.endswith(".txt") else path
        for parent in parents:
            if (folder / parent / path).is_file():
                # The next recording is usually in the same folder, so this folder is tried first.
                parents.remove(parent)
                parents.insert(0, parent)
                return parent + path
        return None

    return find


def speaker_naming(audio: Path, *, beside: Path | None = None, manifest: Path | None = None) -> Callable[[str], str]:
    """Make a function from a path in a list to the speaker; "" when unknown.

    The speaker comes from `manifest` if given. Otherwise it comes from manifest.tsv beside the list, then from
    manifest.tsv in `audio`, then from the first folder of the path.

    Args:
        audio: folder that the paths start from.
        beside: the list; its folder may have a manifest.tsv.
        manifest: the only source of speakers, if given.

    Raises:
        InputError: a manifest cannot be read.
    """
    places = [manifest] if manifest else [(beside or audio).with_name("manifest.tsv"), audio / "manifest.tsv"]
    known = [known_speakers(read_manifest(place), audio) for place in places if manifest or place.is_file()]

    def speaker_of(path: str) -> str:
        named = next(filter(None, (speaker(path) for speaker in known)), "")
        return named or ("" if manifest else speaker_folder(path))

    return speaker_of
