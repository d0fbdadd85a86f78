"""Readers of the lists that a sequence recipe names: segments, pairs of segments, and sections."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segment_pairs import read_segment_pairs
from earmark.data.lists.segments import read_clips
from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip, is_manifest, read_manifest

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SegmentList:
    """The segments of a list or manifest, and the folder of their recordings.

    Attributes:
        clips: the segments; each has an end.
        folder: folder that the paths of the segments start from.
    """

    clips: tuple[Clip, ...]
    folder: Path


@dataclass(frozen=True)
class PairList:
    """The pairs of segments in a list, as numbers of the segments.

    Attributes:
        segments: the segments of all pairs, without repetition.
        pairs: numbers of the two segments of each pair, shape (n, 2).
        batch: number of each pair's batch, shape (n,); None if the list has no batches.
    """

    segments: SegmentList
    pairs: Ints
    batch: Ints | None


def read_segment_list(source: Path, audio: Path | None, *, longest_s: float = float("inf")) -> SegmentList:
    """Read the segments of a list or manifest.

    Args:
        source: the list.
        audio: folder that the paths in a list start from; not used for a manifest.
        longest_s: longer segments are dropped.

    Raises:
        InputError: see `earmark.data.lists.segments.read_clips`; or all segments are longer than `longest_s`.
    """
    if audio is None and not is_manifest(source):
        raise _no_audio(source)
    clips, recordings = read_clips(source, None if is_manifest(source) else audio)
    kept = tuple(clip for clip in _with_ends(clips, recordings) if end_of(clip) - clip.start_s <= longest_s + 1e-6)
    if not kept:
        raise InputError(f"{source}: all segments are longer than {longest_s:g} s; raise episodes.longest_s")
    return SegmentList(kept, recordings.folder)


def read_labeled_list(source: Path, audio: Path | None, where: str, *, longest_s: float = float("inf")) -> SegmentList:
    """Read a list of segments that all have a label.

    Args:
        source: the list or manifest.
        audio: folder that the paths in a list start from; not used for a manifest.
        where: recipe key of the list, for messages.
        longest_s: longer segments are dropped.

    Raises:
        InputError: see `read_segment_list`; or a segment has no label.
    """
    listed = read_segment_list(source, audio, longest_s=longest_s)
    if unlabeled := next((clip for clip in listed.clips if not clip.label), None):
        raise InputError(
            f"{where}: the segment of {unlabeled.path} at {unlabeled.start_s:g} s has no label in {source}; "
            "label all segments"
        )
    return listed


def read_validation_list(source: Path, audio: Path | None) -> SegmentList:
    """Read a list of labeled segments for the validation MAP.

    Args:
        source: the list or manifest.
        audio: folder that the paths in a list start from; not used for a manifest.

    Raises:
        InputError: see `read_labeled_list`; or no label has two segments.
    """
    listed = read_labeled_list(source, audio, "data.validation")
    if len({clip.label for clip in listed.clips}) == len(listed.clips):
        raise InputError(f"data.validation: no label in {source} has two segments; list two segments of a label")
    return listed


def read_pair_list(source: Path, audio: Path | None, *, longest_s: float, same_file: bool) -> PairList:
    """Read the pairs of a list, or of a manifest in which the two segments of a pair have the same label.

    Args:
        source: the list.
        audio: folder that the paths in a list start from; not used for a manifest.
        longest_s: pairs with a longer segment are dropped.
        same_file: keep pairs of one recording.

    Raises:
        InputError: the list cannot be read; `audio` is missing; a label of the manifest does not have two segments; or
            no pair is left.
    """
    numbers: dict[Clip, int] = {}
    rows: list[tuple[int, int]] = []
    batches: list[int | None] = []
    folder, pairs = _pairs(source, audio)
    for first, second, batch in pairs:
        if first.path == second.path and not same_file:
            continue
        if max(end_of(clip) - clip.start_s for clip in (first, second)) > longest_s + 1e-6:
            continue
        rows.append((numbers.setdefault(first, len(numbers)), numbers.setdefault(second, len(numbers))))
        batches.append(batch)
    if not rows:
        raise InputError(
            f"{source}: each pair is dropped, because it is of one recording or has a segment above {longest_s:g} s; "
            "raise episodes.longest_s, or set episodes.same_file = true"
        )
    named = [batch for batch in batches if batch is not None]
    batch_numbers = np.array(named, np.int64) if named and len(named) == len(batches) else None
    return PairList(SegmentList(tuple(numbers), folder), np.array(rows, np.int64), batch_numbers)


def read_section_list(source: Path, audio: Path | None) -> tuple[list[Span], Path]:
    """Read the sections of speech in a list or manifest.

    Args:
        source: the list or manifest.
        audio: folder that the paths in a list start from; not used for a manifest.

    Returns:
        The sections, and the folder that their paths start from.

    Raises:
        InputError: the file cannot be read, or `audio` is missing.
    """
    if is_manifest(source):
        sections, folder = [*read_sections(source)], read_manifest(source).folder
        recordings = AudioFolder(folder)
        for section in sections:
            try:
                recordings.check(section)
            except InputError as error:
                raise InputError(f"{source}: {error}") from None
        return sections, folder
    if audio is None:
        raise _no_audio(source)
    return [*read_sections(source, audio=audio)], audio


def label_numbers(clips: Sequence[Clip]) -> Ints:
    """Number the labels of segments in alphabetical order; return the number of each segment's label, shape (n,)."""
    return np.unique([clip.label for clip in clips], return_inverse=True)[1].astype(np.int64)


def end_of(clip: Clip) -> float:
    """Return the end of a segment of a `SegmentList`, in seconds; all segments in such a list have one."""
    assert clip.end_s is not None, "the readers give all segments an end"
    return clip.end_s


def _pairs(source: Path, audio: Path | None) -> tuple[Path, Iterator[tuple[Clip, Clip, int | None]]]:
    """Read the pairs of segments in a list or manifest.

    Returns:
        The folder that the paths start from; and, for each pair, its two segments and the number of its batch, which is
        None if the list has no batches.

    Raises:
        InputError: the file cannot be read; `audio` is missing; or a label of the manifest does not have two segments.
    """
    if is_manifest(source):
        manifest = read_manifest(source)
        sides: dict[str, list[Clip]] = defaultdict(list)
        for clip in _with_ends(manifest, AudioFolder(manifest.folder)):
            sides[clip.label].append(clip)
        for label, clips in sides.items():
            if len(clips) != 2:
                raise InputError(
                    f"{source}: label {label!r} has {len(clips)} segments; in a manifest of pairs, a label needs two"
                )
        bare = {label: [_without_label(clip) for clip in clips] for label, clips in sides.items()}
        return manifest.folder, ((first, second, None) for first, second in bare.values())
    if audio is None:
        raise _no_audio(source)
    listed = read_segment_pairs(source, audio=audio)
    return audio, ((_clip(pair.first), _clip(pair.second), pair.batch) for pair in listed)


def _clip(span: Span) -> Clip:
    return Clip(span.path, span.start_s, span.end_s, span.speaker)


def _without_label(clip: Clip) -> Clip:
    """Copy a segment without its label, which names its pair, so that copies from two pairs are equal."""
    return Clip(clip.path, clip.start_s, clip.end_s, clip.speaker)


def _with_ends(clips: Iterable[Clip], recordings: AudioFolder) -> Iterator[Clip]:
    for clip in clips:
        end_s = recordings.end_s(clip.path) if clip.end_s is None else clip.end_s
        yield Clip(clip.path, clip.start_s, end_s, clip.speaker, clip.label)


def _no_audio(source: Path) -> InputError:
    return InputError(f"data.audio: the folder that the paths in {source} start from is missing; name it here")
