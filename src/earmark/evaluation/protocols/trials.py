"""Trial lists: clips to enroll keywords from, and test clips.

Two lists in the format of `earmark.data.lists.clip_lists` form a pair: `enroll_k5_s0.txt` and `test_k5_s0.txt`. The
keywords of a pair are the labels of its enrollment list; a test clip with any other label is an impostor.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.corpora.folder import SPEAKER_PATTERN
from earmark.data.lists.clip_lists import ListedClip, listed_label, read_list, write_list
from earmark.data.lists.list_format import read_lines
from earmark.data.manifest import read_manifest

__all__ = [
    "ListPair",
    "TrialClip",
    "every_path",
    "find_pairs",
    "keep_words",
    "read_list",
    "read_pair",
    "speakers_of",
    "write_list",
]

TrialClip = ListedClip
"""One line of a list."""


@dataclass(frozen=True)
class ListPair:
    """An enrollment list and its test list.

    Attributes:
        condition: name of the condition, such as `k5`, `across_k5` or `personal_k3`.
        draw: name of the random draw of clips within the condition: a seed (`s0`) or a speaker.
        enrollment: clips to enroll; all clips of one label form one keyword.
        test: test clips, which are scored against every keyword.
    """

    condition: str
    draw: str
    enrollment: tuple[TrialClip, ...]
    test: tuple[TrialClip, ...]

    @property
    def name(self) -> str:
        """The common part of both file names, such as `k5_s0`."""
        return f"{self.condition}_{self.draw}"

    @property
    def keywords(self) -> tuple[str, ...]:
        """The enrolled labels, sorted."""
        return tuple(sorted({clip.label for clip in self.enrollment}))

    @property
    def paths(self) -> frozenset[str]:
        """Paths of the recordings in both lists."""
        return frozenset(clip.path for clip in (*self.enrollment, *self.test))


def read_pair(enrollment: Path, test: Path, *, audio: Path | None = None) -> ListPair:
    """Read an enrollment list and its test list, and check them against each other.

    Raises:
        InputError: as in `read_list`; or a clip is in both lists; or the test list has no clip of any keyword.
    """
    condition, draw = _condition_and_draw(enrollment)
    pair = ListPair(condition, draw, read_list(enrollment, audio=audio), read_list(test, audio=audio))
    enrolls = {clip.path for clip in pair.enrollment}
    for clip in pair.test:
        if clip.path in enrolls:
            number = next(number for number, line in read_lines(test) if line.partition(" ")[2].strip() == clip.path)
            raise InputError(f"{test}:{number}: {clip.path} is in {enrollment.name} too; remove one of the lines")
    if not {clip.label for clip in pair.test} & set(pair.keywords):
        raise InputError(f"{test}: no clip of any keyword of {enrollment.name}; check that the lists belong together")
    return pair


def find_pairs(folder: Path, *, audio: Path | None = None, draws: int | None = None) -> dict[str, tuple[ListPair, ...]]:
    """Read every pair of lists in a folder, grouped into conditions.

    Args:
        folder: folder of `enroll_<condition>_<draw>.txt` and `test_<condition>_<draw>.txt`.
        audio: folder of the corpus; if given, every recording must exist there.
        draws: number of pairs to read of each condition; None for all.

    Returns:
        Pairs by condition; conditions and their pairs are in natural order (k1, k5, k10).

    Raises:
        InputError: the folder has no list, a list has no partner, or `read_pair` refuses a list.
    """
    enrollments = sorted(folder.glob("enroll_*.txt"), key=lambda path: _natural(path.name))
    if not enrollments:
        raise InputError(f"{folder}: no list enroll_<condition>_<draw>.txt here; choose the folder of the lists")
    tests = {path.name.removeprefix("test_") for path in folder.glob("test_*.txt")}
    unpaired = tests ^ {path.name.removeprefix("enroll_") for path in enrollments}
    if unpaired:
        name = min(unpaired)
        present, missing = ("test_", "enroll_") if name in tests else ("enroll_", "test_")
        raise InputError(
            f"{folder / (present + name)}: {missing + name} is missing beside it; add this list, or remove the other"
        )
    found: dict[str, list[Path]] = {}
    for path in enrollments:
        found.setdefault(_condition_and_draw(path)[0], []).append(path)
    return {
        condition: tuple(_read_with_partner(path, audio) for path in paths[:draws])
        for condition, paths in found.items()
    }


def keep_words(
    conditions: Mapping[str, tuple[ListPair, ...]], words: Collection[str]
) -> dict[str, tuple[ListPair, ...]]:
    """Enroll only some words of each pair of lists; test clips of the other words become impostors.

    Args:
        conditions: from `find_pairs`.
        words: labels to enroll; spaces count as `_`.

    Raises:
        InputError: a word is missing in an enrollment or test list.
    """
    wanted = {listed_label(word) for word in words}

    def kept(pair: ListPair) -> ListPair:
        for what, present in {"enrollment": pair.keywords, "test": {clip.label for clip in pair.test}}.items():
            if missing := sorted(wanted.difference(present)):
                near = get_close_matches(missing[0], present, n=1)
                cure = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(present))}"
                raise InputError(f"{pair.name}: {missing[0]!r} is not in its {what} list; {cure}")
        return replace(pair, enrollment=tuple(clip for clip in pair.enrollment if clip.label in wanted))

    return {condition: tuple(kept(pair) for pair in pairs) for condition, pairs in conditions.items()}


def speakers_of(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Speaker by path, from manifest.tsv in the corpus or, without it, from file names as in Speech Commands.

    Args:
        folder: folder of the corpus.
        paths: paths of the recordings, as in the lists.

    Returns:
        Only paths with a known speaker.
    """
    manifest = folder / "manifest.tsv"
    if manifest.is_file():
        known = {clip.path: clip.speaker for clip in read_manifest(manifest)}
        return {path: known[path] for path in paths if known.get(path)}
    named = ((path, re.search(SPEAKER_PATTERN, path)) for path in paths)
    return {path: found[1] for path, found in named if found}


def every_path(conditions: Mapping[str, tuple[ListPair, ...]]) -> list[str]:
    """Paths of the recordings in all pairs of lists, sorted, without duplicates."""
    return sorted({path for pairs in conditions.values() for pair in pairs for path in pair.paths})


def _read_with_partner(enrollment: Path, audio: Path | None) -> ListPair:
    return read_pair(enrollment, enrollment.with_name("test_" + enrollment.name.removeprefix("enroll_")), audio=audio)


def _condition_and_draw(path: Path) -> tuple[str, str]:
    match = re.fullmatch(r"enroll_(.+)_([^_]+)", path.stem)
    if match is None:
        raise InputError(f"{path}: expected a name like enroll_k5_s0.txt (enroll_<condition>_<draw>.txt)")
    return match[1], match[2]


def _natural(name: str) -> list[tuple[int, str]]:
    """A sorting key that orders k5 before k10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
