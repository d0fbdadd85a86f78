"""What is looked for and where it is said: lists of queries, and places from manifests or alignments."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.alignment.forced import spoken_words
from earmark.data.alignment.formats import read_alignments
from earmark.data.lists.clip_lists import read_list
from earmark.data.manifest import Clip, Manifest, read_manifest
from earmark.evaluation.protocols.search import Place
from earmark.search import Take

MANIFESTS = (".tsv", ".parquet")
PAUSE_S = 1.0  # the words of a phrase follow each other no later than this


@dataclass(frozen=True)
class QueryTakes:
    """A query: its word, as it is written in transcripts, and one or more takes of it."""

    label: str
    takes: tuple[Take, ...]


def read_queries(path: Path, audio: Path | None = None, *, takes: int = 1) -> tuple[QueryTakes, ...]:
    """Read queries from a list, `label path` a line, or from a manifest, whose clips may be parts of files.

    Args:
        path: the list or manifest (.tsv, .parquet); in a list, `_` stands for a space in a label.
        audio: folder that the paths of a list start from; its own folder unless given.
        takes: how many clips of a word make one query, in their order; what is left over is left out.

    Raises:
        InputError: the file cannot be read, names a recording that is missing, or holds no query.
    """
    found: dict[str, list[Take]] = defaultdict(list)
    if path.suffix.lower() in MANIFESTS:
        manifest = read_manifest(path)
        for clip in manifest:
            is_part = clip.end_s is not None or clip.start_s > 0
            times = (clip.start_s, clip.end_s) if is_part else (None, None)
            file = manifest.locate(clip)
            if not file.is_file():
                raise InputError(f"{path}: no file {file}; is {manifest.folder} where the manifest belongs?")
            found[_spoken(clip.label)].append(Take(file, *times))
    else:
        folder = audio or path.parent
        for listed in read_list(path, audio=folder):
            found[_spoken(listed.label.replace("_", " "))].append(Take(folder / listed.path))
    found.pop("", None)
    queries = tuple(
        QueryTakes(label, tuple(own[start : start + takes]))
        for label, own in found.items()
        for start in range(0, len(own) - takes + 1, takes)
    )
    if not queries:
        raise InputError(f"{path}: no word has {takes} clips with a label; lower --takes, or add clips")
    return queries


def read_places(path: Path, files: Sequence[str], labels: Iterable[str]) -> dict[str, list[Place]]:
    """Where words are said in the files of an archive.

    Args:
        path: a manifest, whose clips say their text, or else their label, somewhere between their times; or an
            alignment: a folder of TextGrids, or .TextGrid, .ctm, .json, .jsonl.
        files: of the archive.
        labels: the words or phrases, from `read_queries`.

    Returns:
        Places by label; a clip that says a word twice gives two. Labels that are said nowhere are left out.

    Raises:
        InputError: the references cannot be read, or know nothing about the files.
    """
    places: dict[str, list[Place]] = defaultdict(list)
    wanted = sorted({tuple(label.split()) for label in labels})
    said = _from_manifest(path, files) if path.suffix.lower() in MANIFESTS else _from_alignments(path, files)
    for phrase in wanted:
        for file, words in said.items():
            for start_s, end_s in _said(phrase, words):
                places[" ".join(phrase)].append(Place(file, start_s, end_s))
    return dict(places)


@dataclass(frozen=True)
class _Word:
    """A word and between which times it is said; `clip` tells words of one clip from those of the next."""

    text: str
    start_s: float
    end_s: float
    clip: int


def _from_manifest(path: Path, files: Sequence[str]) -> Mapping[str, list[_Word]]:
    manifest = read_manifest(path)
    known = {os.path.realpath(file): file for file in files}
    said: dict[str, list[_Word]] = defaultdict(list)
    for number, clip in enumerate(manifest):
        file = known.get(os.path.realpath(manifest.locate(clip)))
        if file is not None:
            end_s = float("inf") if clip.end_s is None else clip.end_s
            said[file] += [_Word(text, clip.start_s, end_s, number) for text in spoken_words(clip.text or clip.label)]
    if not said:
        raise InputError(f"{path}: names none of the indexed files; is it the manifest of these recordings?")
    return said


def _from_alignments(path: Path, files: Sequence[str]) -> Mapping[str, list[_Word]]:
    found = read_alignments(path).of(Manifest(tuple(map(Clip, files))))
    # Aligned words are timed: those of a phrase follow each other, whichever sentence they are of.
    return {
        file: [_Word(word.text, word.start_s, word.end_s, 0) for word in alignment.words]
        for file, alignment in zip(files, found, strict=True)
    }


def _said(phrase: Sequence[str], words: Sequence[_Word]) -> Iterator[tuple[float, float]]:
    """From when to when a phrase is said."""
    size = len(phrase)
    for start in range(len(words) - size + 1):
        part = words[start : start + size]
        if tuple(word.text for word in part) != tuple(phrase) or len({word.clip for word in part}) > 1:
            continue
        if all(after.start_s - before.end_s <= PAUSE_S for before, after in pairwise(part)):
            yield part[0].start_s, part[-1].end_s


def _spoken(label: str) -> str:
    return " ".join(spoken_words(label))
