"""Queries from lists or manifests, and occurrences of their words from manifests or alignments."""

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
from earmark.evaluation.protocols.search import Occurrence
from earmark.search import QueryTake

MANIFESTS = (".tsv", ".parquet")
PAUSE_S = 1.0  # longest pause between two words of a phrase


@dataclass(frozen=True)
class LabeledQuery:
    """A query: a word as written in transcripts, and one or more takes of the word."""

    label: str
    takes: tuple[QueryTake, ...]


def read_queries(path: Path, audio: Path | None = None, *, takes: int = 1) -> tuple[LabeledQuery, ...]:
    """Read queries from a list with lines `label path`, or from a manifest, whose clips may be parts of files.

    Args:
        path: the list or manifest (.tsv, .parquet); in a list, `_` in a label is a space.
        audio: folder of the relative paths in a list; None for the folder of the list.
        takes: number of clips per query, in their order; leftover clips that do not fill a query are dropped.

    Raises:
        InputError: the file cannot be read, names a missing recording, or contains no query.
    """
    found: dict[str, list[QueryTake]] = defaultdict(list)
    if path.suffix.lower() in MANIFESTS:
        manifest = read_manifest(path)
        for clip in manifest:
            is_part = clip.end_s is not None or clip.start_s > 0
            times = (clip.start_s, clip.end_s) if is_part else (None, None)
            file = manifest.locate(clip)
            if not file.is_file():
                raise InputError(f"{path}: {file} is missing; move the manifest to the folder of its recordings")
            found[_spoken(clip.label)].append(QueryTake(file, *times))
    else:
        folder = audio or path.parent
        for listed in read_list(path, audio=folder):
            found[_spoken(listed.label.replace("_", " "))].append(QueryTake(folder / listed.path))
    found.pop("", None)
    queries = tuple(
        LabeledQuery(label, tuple(own[start : start + takes]))
        for label, own in found.items()
        for start in range(0, len(own) - takes + 1, takes)
    )
    if not queries:
        raise InputError(f"no word in {path} has {takes} labeled clips; use fewer takes, or add clips", key="takes")
    return queries


def read_occurrences(path: Path, files: Sequence[str], labels: Iterable[str]) -> dict[str, list[Occurrence]]:
    """Read where words are said in the files of an index, from a manifest or an alignment.

    Args:
        path: a manifest, whose clips have a text, or else a label; or an alignment: a folder of TextGrids, or a file
            (.TextGrid, .ctm, .json, .jsonl).
        files: files of the index.
        labels: the words or phrases, from `read_queries`.

    Returns:
        Occurrences by label, two for a clip that contains a word twice. Labels without occurrences are left out.

    Raises:
        InputError: the references cannot be read, or contain none of the files.
    """
    occurrences: dict[str, list[Occurrence]] = defaultdict(list)
    wanted = sorted({tuple(label.split()) for label in labels})
    words = _from_manifest(path, files) if path.suffix.lower() in MANIFESTS else _from_alignments(path, files)
    for phrase in wanted:
        for file, spoken in words.items():
            for start_s, end_s in _find(phrase, spoken):
                occurrences[" ".join(phrase)].append(Occurrence(file, start_s, end_s))
    return dict(occurrences)


@dataclass(frozen=True)
class _Word:
    """A spoken word; only words with the same `clip` can form a phrase."""

    text: str
    start_s: float
    end_s: float
    clip: int


def _from_manifest(path: Path, files: Sequence[str]) -> Mapping[str, list[_Word]]:
    manifest = read_manifest(path)
    known = {os.path.realpath(file): file for file in files}
    words: dict[str, list[_Word]] = defaultdict(list)
    for number, clip in enumerate(manifest):
        file = known.get(os.path.realpath(manifest.locate(clip)))
        if file is not None:
            end_s = float("inf") if clip.end_s is None else clip.end_s
            words[file] += [_Word(text, clip.start_s, end_s, number) for text in spoken_words(clip.text or clip.label)]
    if not words:
        raise InputError(f"{path}: none of its clips is in an indexed file; use the manifest of the indexed recordings")
    return words


def _from_alignments(path: Path, files: Sequence[str]) -> Mapping[str, list[_Word]]:
    found = read_alignments(path).of(Manifest(tuple(map(Clip, files))))
    # Aligned words have times, so that a phrase may cross sentences: all words have the same `clip`.
    return {
        file: [_Word(word.text, word.start_s, word.end_s, 0) for word in alignment.words]
        for file, alignment in zip(files, found, strict=True)
    }


def _find(phrase: Sequence[str], words: Sequence[_Word]) -> Iterator[tuple[float, float]]:
    """Yield start and end of each occurrence of a phrase in the words of a file."""
    size = len(phrase)
    for start in range(len(words) - size + 1):
        part = words[start : start + size]
        if tuple(word.text for word in part) != tuple(phrase) or len({word.clip for word in part}) > 1:
            continue
        if all(after.start_s - before.end_s <= PAUSE_S for before, after in pairwise(part)):
            yield part[0].start_s, part[-1].end_s


def _spoken(label: str) -> str:
    return " ".join(spoken_words(label))
