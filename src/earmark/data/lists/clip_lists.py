"""Lists of clips, lines `label path`, and of pairs of clips, lines `1 path path` or `0 path path`.

A label has `_` between its words. The path of a clip extends to the end of the line and may contain spaces; the paths
of a pair contain none. Paths start from the folder of the corpus.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.corpora.folder import speaker_finder
from earmark.data.lists.list_format import Column, ListFormat, choice, read_records, text, write_records
from earmark.data.manifest import Clip, Manifest


@dataclass(frozen=True)
class ListedClip:
    """One line of a list of clips.

    Attributes:
        label: spoken word, with `_` for a space.
        path: path of the recording, relative to the folder of the corpus.
    """

    label: str
    path: str


@dataclass(frozen=True)
class ClipPair:
    """One line of a list of pairs of clips.

    Attributes:
        is_same: whether both clips have the same word or speaker, depending on the list.
        first: path of the anchor, relative to the folder of the corpus.
        second: path of the clip that the anchor is compared with.
    """

    is_same: bool
    first: str
    second: str


def listed_label(label: str) -> str:
    """Replace the spaces in a label by `_`, as lists write it.

    >>> listed_label("zoom in")
    'zoom_in'
    """
    return "_".join(label.split())


CLIPS = ListFormat(
    ListedClip,
    (Column("label", write=listed_label), text("path")),
    values=lambda clip: (clip.label, clip.path),
    has_spaces=True,
)
PAIRS = ListFormat(
    ClipPair,
    (choice("1|0", {"1": True, "0": False}), text("path"), text("path")),
    values=lambda pair: (pair.is_same, pair.first, pair.second),
)


def read_list(path: Path, *, audio: Path | None = None, repeats: bool = False) -> tuple[ListedClip, ...]:
    """Read a list of clips.

    Args:
        path: the list.
        audio: folder of the corpus; when given, every recording must exist there.
        repeats: whether a recording may be listed several times, as in lists for training.

    Raises:
        InputError: see `read_records`; or a recording is listed twice or does not exist.
    """
    lines: dict[str, int] = {}

    def check(clip: ListedClip, line_number: int) -> None:
        if clip.path not in lines:
            _check_exists(clip.path, audio)
        elif not repeats:
            raise InputError(f"{clip.path} is in line {lines[clip.path]} already; remove one of the two lines")
        lines[clip.path] = line_number

    return tuple(read_records(path, CLIPS, check))


def write_list(clips: Iterable[ListedClip], path: Path) -> None:
    """Write a list of clips; spaces in labels become `_`.

    Raises:
        InputError: a path or label that the format cannot hold.
    """
    write_records(clips, path, CLIPS)


def read_pairs(path: Path, *, audio: Path | None = None) -> tuple[ClipPair, ...]:
    """Read a list of pairs of clips.

    Args:
        path: the list.
        audio: folder of the corpus; when given, every recording must exist there.

    Raises:
        InputError: see `read_records`; or a recording does not exist.
    """
    checked: set[str] = set()

    def check(pair: ClipPair, _: int) -> None:
        for recording in {pair.first, pair.second} - checked:
            _check_exists(recording, audio)
            checked.add(recording)

    return tuple(read_records(path, PAIRS, check))


def write_pairs(pairs: Iterable[ClipPair], path: Path) -> None:
    """Write a list of pairs of clips.

    Raises:
        InputError: a path is empty or contains white space.
    """
    write_records(pairs, path, PAIRS)


def listing_from(audio: Path, manifest: Manifest) -> Callable[[Clip], ListedClip]:
    """Make a function from a clip of a manifest to a clip of a list, with a path relative to `audio`.

    The path of a file outside `audio` begins with `..`.

    Returns:
        The function, which raises `InputError` if a clip is part of a file, has no label, or its file is missing.
    """

    def listed(clip: Clip) -> ListedClip:
        file = manifest.locate(clip)
        if clip.start_s or clip.end_s is not None:
            raise InputError(
                f"{file}: a clip is a part of this file, but lists name whole files; write the clip to a file"
            )
        if not clip.label:
            raise InputError(f"{file}: no label in the manifest, but every line of a list needs one; add the label")
        if not file.is_file():
            raise InputError(f"{file}: no such file, but the manifest has it; make the manifest again")
        return ListedClip(listed_label(clip.label), _path_from(audio, file))

    return listed


def manifest_of(
    lists: Mapping[str, Iterable[ListedClip]], audio: Path, *, speaker_of: Callable[[str], str] | None = None
) -> Manifest:
    """Make a manifest of the clips in several lists; the clips of a list get its split.

    Args:
        lists: clips by split, such as `train`.
        audio: folder that the paths start from.
        speaker_of: returns the speaker of a path; None for file names as in Speech Commands.
    """
    speaker_of = speaker_of or speaker_finder()
    clips = tuple(
        Clip(clip.path, speaker=speaker_of(clip.path), label=clip.label, split=split)
        for split, listed in lists.items()
        for clip in listed
    )
    return Manifest(clips, audio)


def known_speakers(manifest: Manifest, audio: Path) -> Callable[[str], str]:
    """Make a function from a path below `audio` to the speaker of the file in a manifest; "" if unknown."""
    speakers = {_path_from(audio, manifest.locate(clip)): clip.speaker for clip in manifest}
    return lambda path: speakers.get(path, "")


def _path_from(audio: Path, file: Path) -> str:
    absolute = Path(os.path.normpath(file.absolute()))
    folder = Path(os.path.normpath(audio.absolute()))
    if absolute.is_relative_to(folder):
        return absolute.relative_to(folder).as_posix()
    # Where `audio` is a symbolic link, `..` leads out of the link's target.
    return Path(os.path.relpath(file.resolve(), audio.resolve())).as_posix()


def _check_exists(recording: str, audio: Path | None) -> None:
    if audio is not None and not (audio / recording).is_file():
        raise InputError(f"{audio / recording} is missing; choose the folder that the paths of the list start from")
