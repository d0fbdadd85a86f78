"""Segments of lists, the sections that they lie in, and the frames that are kept of those."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.sections import by_path, read_sections
from earmark.data.lists.segment_pairs import read_segment_pairs
from earmark.data.lists.segments import read_clips
from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip, is_manifest, read_manifest
from earmark.training.sequences.frames import ContextSettings, FrameSource, FrameStore, store_frames
from earmark.training.sequences.networks import Cut

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Listed:
    """Segments, and the folder that their paths start from.

    Attributes:
        clips: the segments, each with its end.
        folder: of the recordings.
    """

    clips: tuple[Clip, ...]
    folder: Path


@dataclass(frozen=True)
class ListedPairs:
    """Pairs of segments.

    Attributes:
        segments: each once.
        pairs: numbers of the two segments of each pair, shape (n, 2).
        batch: of each pair, shape (n,); None where the list says nothing of batches.
    """

    segments: Listed
    pairs: Ints
    batch: Ints | None


class SegmentFrames:
    """Segments whose frames are kept on disk.

    Args:
        listed: the segments.
        sections: what they lie in; None: a recording is one section.
        source: makes the frames.
        folder: where they are kept.
        context: how much is heard at a time.
        around: frames that a cut holds on each side of its segment; of a section of an hour it holds no more.
        progress: of encoding the recordings.

    Attributes:
        kept: numbers of the segments that have a frame, shape (n,); those that are shorter are left out.

    Raises:
        InputError: a segment lies in no section, or beyond its recording's end; a recording is missing; no segment
            has a frame.
    """

    def __init__(
        self,
        listed: Listed,
        sections: Sequence[Span] | None,
        source: FrameSource,
        folder: Path,
        context: ContextSettings,
        around: int = 0,
        *,
        progress: Progress = no_progress,
    ) -> None:
        if sections is None:
            sections, owner = _whole(listed.clips, AudioFolder(listed.folder))
        else:
            owner = [*find_owners(listed.clips, sections)]
        used = sorted({*owner})
        place = {number: row for row, number in enumerate(used)}
        self.listed, self.around = listed, around
        self.store: FrameStore = store_frames(
            source, [sections[n] for n in used], listed.folder, folder, context, progress=progress
        )
        self._owner = [place[number] for number in owner]
        self._span = [
            self.store.span(number, clip.start_s, _end_s(clip))
            for number, clip in zip(self._owner, listed.clips, strict=True)
        ]
        self.kept = np.array([row for row, (first, stop) in enumerate(self._span) if stop > first], np.int64)
        if not len(self.kept):
            raise InputError(f"none of {len(listed.clips)} segments is as long as a frame; list longer ones")

    def cuts(self, rows: Iterable[int]) -> list[Cut]:
        """Segments by their numbers, each among the frames of its section."""
        return [self._cut(row) for row in rows]

    def _cut(self, row: int) -> Cut:
        owner, (first, stop) = self._owner[row], self._span[row]
        begin = max(0, first - self.around)
        end = min(int(self.store.counts[owner]), stop + self.around)
        return Cut(self.store.cut(owner, begin, end), first - begin, stop - begin)


def read_listed(source: Path, audio: Path | None, *, longest_s: float = float("inf")) -> Listed:
    """The segments of a list or manifest.

    Args:
        source: the list.
        audio: folder that the paths in a list start from; a manifest knows its own.
        longest_s: longer segments are left out.

    Raises:
        InputError: as `earmark.data.lists.segments.read_clips`; or all segments are longer.
    """
    if audio is None and not is_manifest(source):
        raise _nowhere(source)
    clips, recordings = read_clips(source, None if is_manifest(source) else audio)
    kept = tuple(clip for clip in _with_ends(clips, recordings) if _end_s(clip) - clip.start_s <= longest_s + 1e-6)
    if not kept:
        raise InputError(f"{source}: all segments are longer than {longest_s:g} s; raise episodes.longest_s")
    return Listed(kept, recordings.folder)


def read_listed_pairs(source: Path, audio: Path | None, *, longest_s: float, same_file: bool) -> ListedPairs:
    """The pairs of a list, or of a manifest in which the two segments of a pair have one label.

    Args:
        source: the list.
        audio: folder that the paths in a list start from; a manifest knows its own.
        longest_s: pairs with a longer segment are left out.
        same_file: keep pairs of one recording.

    Raises:
        InputError: a broken list; a list without `audio`; a label of a manifest that is not two segments'; no pair is
            left.
    """
    numbers: dict[Clip, int] = {}
    rows: list[tuple[int, int]] = []
    batches: list[int | None] = []
    folder, pairs = _pairs(source, audio)
    for first, second, batch in pairs:
        if first.path == second.path and not same_file:
            continue
        if max(_end_s(clip) - clip.start_s for clip in (first, second)) > longest_s + 1e-6:
            continue
        rows.append((numbers.setdefault(first, len(numbers)), numbers.setdefault(second, len(numbers))))
        batches.append(batch)
    if not rows:
        raise InputError(f"{source}: no pair is left; raise episodes.longest_s, or set episodes.same_file = true")
    said = [batch for batch in batches if batch is not None]
    listed_batch = np.array(said, np.int64) if said and len(said) == len(batches) else None
    return ListedPairs(Listed(tuple(numbers), folder), np.array(rows, np.int64), listed_batch)


def read_listed_sections(source: Path, audio: Path | None) -> tuple[list[Span], Path]:
    """The sections of a list or manifest, and the folder that their paths start from."""
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
        raise _nowhere(source)
    return [*read_sections(source, audio=audio)], audio


def _pairs(source: Path, audio: Path | None) -> tuple[Path, Iterator[tuple[Clip, Clip, int | None]]]:
    if is_manifest(source):
        manifest = read_manifest(source)
        sides: dict[str, list[Clip]] = defaultdict(list)
        for clip in _with_ends(manifest, AudioFolder(manifest.folder)):
            sides[clip.label].append(clip)
        for label, clips in sides.items():
            if len(clips) != 2:
                raise InputError(
                    f"{source}: label {label!r} has {len(clips)} segments; in a manifest of pairs each has 2"
                )
        bare = {label: [_bare(clip) for clip in clips] for label, clips in sides.items()}
        return manifest.folder, ((first, second, None) for first, second in bare.values())
    if audio is None:
        raise _nowhere(source)
    listed = read_segment_pairs(source, audio=audio)
    return audio, ((_clip(pair.first), _clip(pair.second), pair.batch) for pair in listed)


def _clip(span: Span) -> Clip:
    return Clip(span.path, span.start_s, span.end_s, span.speaker)


def _bare(clip: Clip) -> Clip:
    """A segment without the name of its pair: in another pair it is the same segment."""
    return Clip(clip.path, clip.start_s, clip.end_s, clip.speaker)


def _with_ends(clips: Iterable[Clip], recordings: AudioFolder) -> Iterator[Clip]:
    for clip in clips:
        end_s = recordings.end_s(clip.path) if clip.end_s is None else clip.end_s
        yield Clip(clip.path, clip.start_s, end_s, clip.speaker, clip.label)


def _end_s(clip: Clip) -> float:
    assert clip.end_s is not None, "read_listed gives all segments an end"
    return clip.end_s


def _nowhere(source: Path) -> InputError:
    return InputError(f"data.audio: say which folder the paths in {source} start from")


def _whole(clips: Sequence[Clip], recordings: AudioFolder) -> tuple[list[Span], list[int]]:
    """The recordings of segments, each one section, and the number of each segment's."""
    speakers: dict[str, str] = {}
    for clip in clips:
        speakers.setdefault(clip.path, clip.speaker)
        recordings.check(Span(clip.path, clip.speaker, clip.start_s, _end_s(clip)))
    numbers = {path: number for number, path in enumerate(speakers)}
    sections = [Span(path, speaker, 0.0, recordings.end_s(path)) for path, speaker in speakers.items()]
    return sections, [numbers[clip.path] for clip in clips]


def find_owners(clips: Sequence[Clip], sections: Sequence[Span]) -> Iterator[int]:
    """The number of the section that each segment lies in."""
    numbers = {section: number for number, section in enumerate(sections)}
    grouped = by_path(sections)
    for clip in clips:
        found = [section for section in grouped.get(clip.path, ()) if section.holds(clip.start_s, _end_s(clip))]
        if not found:
            raise InputError(
                f"{clip.path}: the segment from {clip.start_s:g} to {_end_s(clip):g} s lies in no section of "
                "data.sections; make one list of the other, or leave data.sections out"
            )
        yield numbers[found[0]]
