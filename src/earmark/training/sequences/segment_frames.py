"""Frames of listed segments, computed once and stored on disk."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.sections import by_path
from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip
from earmark.training.sequences.frames import ContextSettings, FrameSource, FrameStore, store_frames
from earmark.training.sequences.lists import SegmentList, end_of
from earmark.training.sequences.networks import Cut


class SegmentFrames:
    """The segments of a list with their frames, which are computed once and then read from a frame store.

    Args:
        listed: the segments.
        sections: sections that contain the segments; None: each recording is one section.
        source: computes frames that are not stored yet.
        folder: folder of the frame store.
        context: context and chunk length.
        around: number of frames that a cut has before and after its segment, fewer at the ends of a section.
        progress: counts speakers whose frames are computed.

    Attributes:
        kept: numbers of the segments with at least one frame, shape (n,); other segments are dropped.

    Raises:
        InputError: a segment is in no section, or ends after its recording; a recording is missing; or no segment has
            a frame.
    """

    def __init__(
        self,
        listed: SegmentList,
        sections: Sequence[Span] | None,
        source: FrameSource,
        folder: Path,
        context: ContextSettings,
        around: int = 0,
        *,
        progress: Progress = no_progress,
    ) -> None:
        if sections is None:
            sections, numbers = _whole_recordings(listed.clips, AudioFolder(listed.folder))
        else:
            numbers = [*find_sections(listed.clips, sections)]
        used = sorted({*numbers})
        row_of = {number: row for row, number in enumerate(used)}
        self.listed, self.around = listed, around
        self.store: FrameStore = store_frames(
            source, [sections[number] for number in used], listed.folder, folder, context, progress=progress
        )
        self._section = [row_of[number] for number in numbers]
        self._span = [
            self.store.span(number, clip.start_s, end_of(clip))
            for number, clip in zip(self._section, listed.clips, strict=True)
        ]
        self.kept = np.array([row for row, (first, stop) in enumerate(self._span) if stop > first], np.int64)
        if not len(self.kept):
            raise InputError(f"all {len(listed.clips)} segments are shorter than a frame; list longer segments")

    def cuts(self, rows: Iterable[int]) -> list[Cut]:
        """Read the frames of segments, given by their numbers, each with some frames before and after the segment."""
        return [self._cut(row) for row in rows]

    def _cut(self, row: int) -> Cut:
        section, (first, stop) = self._section[row], self._span[row]
        begin = max(0, first - self.around)
        end = min(int(self.store.counts[section]), stop + self.around)
        return Cut(self.store.frames(section, begin, end), first - begin, stop - begin)


def find_sections(clips: Sequence[Clip], sections: Sequence[Span]) -> Iterator[int]:
    """Find the section that contains each segment, and yield the numbers of these sections.

    Raises:
        InputError: a segment is in no section.
    """
    numbers = {section: number for number, section in enumerate(sections)}
    grouped = by_path(sections)
    for clip in clips:
        found = [section for section in grouped.get(clip.path, ()) if section.holds(clip.start_s, end_of(clip))]
        if not found:
            raise InputError(
                f"{clip.path}: no section in data.sections contains the segment from {clip.start_s:g} to "
                f"{end_of(clip):g} s; make the segments from these sections, or leave data.sections out"
            )
        yield numbers[found[0]]


def _whole_recordings(clips: Sequence[Clip], recordings: AudioFolder) -> tuple[list[Span], list[int]]:
    """Make each recording that contains a segment one section.

    Returns:
        The sections, and for each segment the number of its section.

    Raises:
        InputError: a recording is missing, or ends before one of its segments.
    """
    speakers: dict[str, str] = {}
    for clip in clips:
        speakers.setdefault(clip.path, clip.speaker)
        recordings.check(Span(clip.path, clip.speaker, clip.start_s, end_of(clip)))
    numbers = {path: number for number, path in enumerate(speakers)}
    sections = [Span(path, speaker, 0.0, recordings.end_s(path)) for path, speaker in speakers.items()]
    return sections, [numbers[clip.path] for clip in clips]
