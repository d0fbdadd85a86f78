"""Trial lists: which clips enrol a keyword and which clips test it.

A list is a text file with one clip a line, `label path`, split at the first space; a label writes `_` where
its words are separated. Two lists make a pair: `enroll_k5_s0.txt` and `test_k5_s0.txt`. The keywords of a
pair are the labels of its enrolment list; a test clip with any other label is an impostor.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from earmark.errors import InputError


@dataclass(frozen=True)
class TrialClip:
    """One line of a list.

    Attributes:
        label: what is spoken, `_` for a space; no white space inside.
        path: the recording, relative to the folder of the corpus.
    """

    label: str
    path: str


@dataclass(frozen=True)
class ListPair:
    """An enrolment list and the list that tests it.

    Attributes:
        condition: what the pair measures, such as `k5`, `across_k5` or `personal_k3`.
        draw: which of the condition's draws this is: a seed (`s0`) or a speaker.
        enrolment: the clips that enrol; all of one label make one keyword.
        test: the clips that are scored against every keyword.
    """

    condition: str
    draw: str
    enrolment: tuple[TrialClip, ...]
    test: tuple[TrialClip, ...]

    @property
    def name(self) -> str:
        """The part that both file names share, such as `k5_s0`."""
        return f"{self.condition}_{self.draw}"

    @property
    def keywords(self) -> tuple[str, ...]:
        """The enrolled labels, sorted."""
        return tuple(sorted({clip.label for clip in self.enrolment}))

    @property
    def paths(self) -> frozenset[str]:
        """Every recording that the pair names."""
        return frozenset(clip.path for clip in (*self.enrolment, *self.test))


def read_list(path: Path, *, audio: Path | None = None) -> tuple[TrialClip, ...]:
    """Read a list; empty lines are skipped.

    Args:
        path: the list.
        audio: the folder of the corpus; when given, every recording must exist there.

    Raises:
        InputError: the list cannot be read, is empty, or has a line that is malformed, names a recording
            twice or names one that does not exist. The message names the file and the line.
    """
    seen: dict[str, int] = {}
    clips = []
    for number, line in _lines(path):
        label, _, recording = line.partition(" ")
        recording = recording.strip()
        if not recording:
            raise InputError(f"{path}:{number}: expected 'label path', got {line!r}")
        if recording in seen:
            raise InputError(f"{path}:{number}: {recording} stands already in line {seen[recording]}; remove one")
        if audio is not None and not (audio / recording).is_file():
            raise InputError(f"{path}:{number}: no file {audio / recording}; is {audio} the folder of this corpus?")
        seen[recording] = number
        clips.append(TrialClip(label, recording))
    if not clips:
        raise InputError(f"{path}: the list is empty; write one clip a line, 'label path'")
    return tuple(clips)


def write_list(clips: Iterable[TrialClip], path: Path) -> None:
    """Write a list that `read_list` reads back; spaces in labels become `_`.

    Raises:
        InputError: a path or label that one line of the format cannot hold.
    """
    lines = []
    for clip in clips:
        label = "_".join(clip.label.split())
        if not label or not clip.path.strip() or clip.path != clip.path.strip() or "\n" in clip.path:
            raise InputError(f"{path}: {clip} does not fit on one line 'label path'")
        lines.append(f"{label} {clip.path}\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_pair(enrolment: Path, test: Path, *, audio: Path | None = None) -> ListPair:
    """Read two lists that belong together and check them against each other.

    Raises:
        InputError: as `read_list`; or a test clip that also enrols; or a test list without any enrolled word.
    """
    condition, draw = _condition_and_draw(enrolment)
    pair = ListPair(condition, draw, read_list(enrolment, audio=audio), read_list(test, audio=audio))
    enrols = {clip.path for clip in pair.enrolment}
    for clip in pair.test:
        if clip.path in enrols:
            number = next(number for number, line in _lines(test) if line.partition(" ")[2].strip() == clip.path)
            raise InputError(f"{test}:{number}: {clip.path} also enrols in {enrolment.name}; remove it from one list")
    if not {clip.label for clip in pair.test} & set(pair.keywords):
        raise InputError(f"{test}: no clip of any keyword that {enrolment.name} enrols")
    return pair


def find_pairs(folder: Path, *, audio: Path | None = None, draws: int | None = None) -> dict[str, tuple[ListPair, ...]]:
    """Read every pair of lists in a folder, grouped into conditions.

    Args:
        folder: holds `enroll_<condition>_<draw>.txt` beside `test_<condition>_<draw>.txt`.
        audio: the folder of the corpus; when given, every recording must exist there.
        draws: read only the first so many draws of each condition.

    Returns:
        Pairs by condition; conditions and draws in natural order (k1, k5, k10).

    Raises:
        InputError: no list in the folder, a list without its partner, or a list that `read_pair` refuses.
    """
    enrolments = sorted(folder.glob("enroll_*.txt"), key=lambda path: _natural(path.name))
    if not enrolments:
        raise InputError(f"{folder}: no list named enroll_<condition>_<draw>.txt")
    tests = {path.name.removeprefix("test_") for path in folder.glob("test_*.txt")}
    unpaired = tests ^ {path.name.removeprefix("enroll_") for path in enrolments}
    if unpaired:
        name = min(unpaired)
        present, missing = ("test_", "enroll_") if name in tests else ("enroll_", "test_")
        raise InputError(f"{folder / (present + name)}: its partner {missing + name} is missing")
    found: dict[str, list[Path]] = {}
    for path in enrolments:
        found.setdefault(_condition_and_draw(path)[0], []).append(path)
    return {
        condition: tuple(_read_with_partner(path, audio) for path in paths[:draws])
        for condition, paths in found.items()
    }


def every_path(conditions: Mapping[str, tuple[ListPair, ...]]) -> list[str]:
    """Every recording that any pair names, once, sorted."""
    return sorted({path for pairs in conditions.values() for pair in pairs for path in pair.paths})


def _read_with_partner(enrolment: Path, audio: Path | None) -> ListPair:
    return read_pair(enrolment, enrolment.with_name("test_" + enrolment.name.removeprefix("enroll_")), audio=audio)


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    """The lines that hold something, numbered from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _condition_and_draw(path: Path) -> tuple[str, str]:
    match = re.fullmatch(r"enroll_(.+)_([^_]+)", path.stem)
    if match is None:
        raise InputError(f"{path}: expected a name like enroll_k5_s0.txt (enroll_<condition>_<draw>.txt)")
    return match[1], match[2]


def _natural(name: str) -> list[tuple[int, str]]:
    """A sorting key in which k5 comes before k10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
