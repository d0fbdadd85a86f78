"""Lists of segments: lines `wav spk vad_start vad_end seg_start seg_end label`.

A segment is a part of a section, see `earmark.data.lists.sections`. The label of a segment is a word, or phones or
words with commas between them; `NOTRANS` if the transcript is unknown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.clip_lists import listed_label
from earmark.data.lists.list_format import Column, ListFormat, number, read_records, write_list
from earmark.data.lists.spans import Span, span_columns, span_values
from earmark.data.manifest import Clip, is_manifest, read_manifest

NO_LABEL = "NOTRANS"


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A short part of a section, and its label.

    Attributes:
        section: the section that contains the segment.
        start_s: start in the file.
        end_s: end in the file.
        label: spoken phones or words; empty when unknown.
    """

    section: Span
    start_s: float
    end_s: float
    label: str = ""

    @property
    def spans(self) -> tuple[Span]:
        """The span to check against the recording: the section."""
        return (self.section,)


def _segment(
    path: str, speaker: str, start_s: float, end_s: float, segment_start_s: float, segment_end_s: float, label: str
) -> SpeechSegment:
    section = Span(path, speaker, start_s, end_s)
    if not section.holds(segment_start_s, segment_end_s):
        raise InputError(
            f"the segment from {segment_start_s:g} to {segment_end_s:g} s is not inside its section from {start_s:g} to"
            f" {end_s:g} s; all times count from the start of the file"
        )
    return SpeechSegment(section, segment_start_s, segment_end_s, label)


SEGMENTS = ListFormat(
    _segment,
    (
        *span_columns("wav", "spk", "vad_start", "vad_end"),
        number("seg_start"),
        number("seg_end"),
        Column("label", lambda text: "" if text == NO_LABEL else text, lambda label: listed_label(label) or NO_LABEL),
    ),
    values=lambda segment: (*span_values(segment.section), segment.start_s, segment.end_s, segment.label),
    spans=(2, 4),
)


def read_segments(path: Path, *, audio: Path | None = None) -> Iterator[SpeechSegment]:
    """Read a list of segments, one by one.

    Args:
        path: the list.
        audio: folder that the paths start from; if given, every section must be inside its recording.

    Raises:
        InputError: see `read_records`; or a segment is outside its section, or a recording is missing or ends before
            the section.
    """
    return read_records(path, SEGMENTS, None if audio is None else AudioFolder(audio).check_record)


def write_segments(segments: Iterable[SpeechSegment], path: Path, *, folder: Path = Path()) -> int:
    """Write a list of segments, or a manifest without their sections, see `write_list`; return their number."""
    return write_list(segments, path, SEGMENTS, clip_of, folder)


def clip_of(segment: SpeechSegment) -> Clip:
    """Convert a segment to a clip of a manifest."""
    return Clip(segment.section.path, segment.start_s, segment.end_s, segment.section.speaker, segment.label)


def read_clips(
    source: Path, audio: Path | None = None, *, split: str | None = None
) -> tuple[Iterator[Clip], AudioFolder]:
    """Read the clips of a manifest or the segments of a list.

    Args:
        source: a manifest (.tsv, .parquet) or a list of segments.
        audio: folder that the paths of a list start from.
        split: split of a manifest; None for all.

    Returns:
        Clips, read one by one, and the folder of their recordings.

    Raises:
        InputError: see `read_manifest` and `read_segments`; or `audio` is missing for a list or given for a manifest;
            or the split has no clips.
    """
    if not is_manifest(source):
        if split is not None:
            raise InputError(f"the list of segments {source} has no splits; leave the split out", key="split")
        if audio is None:
            raise InputError(
                f"the folder of the recordings is missing; choose the one that the paths in {source} start from",
                key="audio",
            )
        return map(clip_of, read_segments(source, audio=audio)), AudioFolder(audio)
    if audio is not None:
        raise InputError(
            f"the paths in the manifest {source} start from its own folder; leave audio out",
            key="audio",
        )
    manifest = read_manifest(source, split=split)
    return iter(manifest), AudioFolder(manifest.folder)
