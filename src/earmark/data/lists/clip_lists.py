"""Lists of recordings in the published formats: `label path` lines, and pairs `1|0 path path`.

A list is a text file with one clip a line, `label path`, split at the first space; a label writes `_` where its
words are separated. A list of pairs has three columns: 1 where both clips say the same, else 0, and their paths,
which therefore hold no space. Paths start from the folder of the corpus.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.corpora.folder import speaker_finder
from earmark.data.manifest import Clip, Manifest


@dataclass(frozen=True)
class ListedClip:
    """One line of a list.

    Attributes:
        label: what is spoken, `_` for a space; no white space inside.
        path: the recording, relative to the folder of the corpus.
    """

    label: str
    path: str


@dataclass(frozen=True)
class ClipPair:
    """One line of a list of pairs.

    Attributes:
        is_same: whether both clips say the same.
        first: the anchor's recording, relative to the folder of the corpus.
        second: the recording that it is compared with.
    """

    is_same: bool
    first: str
    second: str


def read_list(path: Path, *, audio: Path | None = None, repeats: bool = False) -> tuple[ListedClip, ...]:
    """Read a list; empty lines are skipped.

    Args:
        path: the list.
        audio: the folder of the corpus; when given, every recording must exist there.
        repeats: whether a recording may stand there several times, as in lists for training.

    Raises:
        InputError: the list cannot be read, is empty, or has a line that is malformed, names a recording
            twice or names one that does not exist. The message names the file and the line.
    """
    seen: dict[str, int] = {}
    clips = []
    for number, line in read_lines(path):
        label, _, recording = line.partition(" ")
        recording = recording.strip()
        if not recording:
            raise InputError(f"{path}:{number}: expected 'label path', got {line!r}")
        if recording in seen and not repeats:
            raise InputError(f"{path}:{number}: {recording} stands already in line {seen[recording]}; remove one")
        if recording not in seen:
            _check_there(recording, audio, f"{path}:{number}")
        seen[recording] = number
        clips.append(ListedClip(label, recording))
    if not clips:
        raise InputError(f"{path}: the list is empty; write one clip a line, 'label path'")
    return tuple(clips)


def write_list(clips: Iterable[ListedClip], path: Path) -> None:
    """Write a list that `read_list` reads back; spaces in labels become `_`.

    Raises:
        InputError: a path or label that one line of the format cannot hold.
    """
    lines = []
    for clip in clips:
        label = listed_label(clip.label)
        if not label or not clip.path.strip() or clip.path != clip.path.strip() or "\n" in clip.path:
            raise InputError(f"{path}: {clip} does not fit on one line 'label path'")
        lines.append(f"{label} {clip.path}\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_pairs(path: Path, *, audio: Path | None = None) -> tuple[ClipPair, ...]:
    """Read a list of pairs; empty lines are skipped.

    Args:
        path: the list.
        audio: the folder of the corpus; when given, every recording must exist there.

    Raises:
        InputError: the list cannot be read, is empty, or has a line that is malformed or names a recording that
            does not exist. The message names the file and the line.
    """
    checked: set[str] = set()
    pairs = []
    for number, line in read_lines(path):
        columns = line.split()
        if len(columns) != 3 or columns[0] not in {"0", "1"}:
            raise InputError(f"{path}:{number}: expected '1 path path' or '0 path path', got {line!r}")
        for recording in columns[1:]:
            if recording not in checked:
                _check_there(recording, audio, f"{path}:{number}")
                checked.add(recording)
        pairs.append(ClipPair(columns[0] == "1", columns[1], columns[2]))
    if not pairs:
        raise InputError(f"{path}: the list is empty; write one pair a line, '1 path path' or '0 path path'")
    return tuple(pairs)


def write_pairs(pairs: Iterable[ClipPair], path: Path) -> None:
    """Write a list of pairs that `read_pairs` reads back.

    Raises:
        InputError: a path that is empty or holds a space.
    """
    lines = []
    for pair in pairs:
        for recording in (pair.first, pair.second):
            if len(recording.split()) != 1 or recording != recording.strip():
                raise InputError(f"{path}: {recording!r} does not fit in a list of pairs; rename it without spaces")
        lines.append(f"{int(pair.is_same)} {pair.first} {pair.second}\n")
    path.write_text("".join(lines), encoding="utf-8")


def listed_label(label: str) -> str:
    """A label as lists write it.

    >>> listed_label("zoom in")
    'zoom_in'
    """
    return "_".join(label.split())


def listing_from(audio: Path, manifest: Manifest) -> Callable[[Clip], ListedClip]:
    """How the clips of a manifest stand in a list whose paths start from `audio`.

    A file that lies outside of `audio` is reached through `..`.

    Returns:
        A function of a clip; it raises `InputError` for a clip that is no whole file, that has no label, or whose
        file does not exist.
    """

    def listed(clip: Clip) -> ListedClip:
        file = manifest.locate(clip)
        if clip.start_s or clip.end_s is not None:
            raise InputError(f"{file}: the clip is a part of it, and lists name whole files; cut it out first")
        if not clip.label:
            raise InputError(f"{file}: has no label in the manifest, and every line of a list needs one")
        if not file.is_file():
            raise InputError(f"{file}: no such file, but the manifest names it; make the manifest again")
        return ListedClip(listed_label(clip.label), _path_from(audio, file))

    return listed


def manifest_of(
    lists: Mapping[str, Iterable[ListedClip]], audio: Path, *, speaker_of: Callable[[str], str] | None = None
) -> Manifest:
    """A manifest of lists, one list a split.

    Args:
        lists: clips by split, such as `train`.
        audio: the folder that their paths start from.
        speaker_of: from a path to the speaker; None for names as Speech Commands has them.
    """
    speaker_of = speaker_of or speaker_finder()
    clips = tuple(
        Clip(clip.path, speaker=speaker_of(clip.path), label=clip.label, split=split)
        for split, listed in lists.items()
        for clip in listed
    )
    return Manifest(clips, audio)


def known_speakers(manifest: Manifest, audio: Path) -> Callable[[str], str]:
    """A function from a path below `audio` to the speaker that the manifest names for that file, else to ""."""
    speakers = {_path_from(audio, manifest.locate(clip)): clip.speaker for clip in manifest}
    return lambda path: speakers.get(path, "")


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a list that hold something, numbered from 1.

    Raises:
        InputError: the file cannot be read as text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _path_from(audio: Path, file: Path) -> str:
    lexical = Path(os.path.normpath(file.absolute()))
    home = Path(os.path.normpath(audio.absolute()))
    if lexical.is_relative_to(home):
        return lexical.relative_to(home).as_posix()
    # Where `audio` is a symbolic link, `..` leads out of the place that it points to.
    return Path(os.path.relpath(file.resolve(), audio.resolve())).as_posix()


def _check_there(recording: str, audio: Path | None, where: str) -> None:
    if audio is not None and not (audio / recording).is_file():
        raise InputError(f"{where}: no file {audio / recording}; is {audio} the folder of this corpus?")
