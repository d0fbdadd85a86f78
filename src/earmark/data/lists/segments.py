"""Lists of segments: lines `wav spk vad_start vad_end seg_start seg_end label`.

A segment is part of a section, see `earmark.data.lists.sections`. Its label is a word, or phones or words separated by
commas; `NOTRANS` where there is no transcript.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.data.lists.sections import MANIFESTS, of_split
from earmark.data.lists.spans import AudioFolder, Line, Span, read_lines, span_text, time_text, write_lines
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest

COLUMNS = ("wav", "spk", "vad_start", "vad_end", "seg_start", "seg_end", "label")
NO_LABEL = "NOTRANS"


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A short part of a section, and what is said in it.

    Attributes:
        section: where somebody speaks.
        start_s: where the segment starts in the file.
        end_s: where it ends.
        label: what is said; empty when nobody knows.
    """

    section: Span
    start_s: float
    end_s: float
    label: str = ""


def read_segments(path: Path, *, audio: Path | None = None) -> Iterator[SpeechSegment]:
    """Read a list of segments, one after the other; each line counts, whatever the one before it says.

    Args:
        path: the list.
        audio: folder that the paths start from; when given, every segment has to lie inside its recording.

    Raises:
        InputError: the list cannot be read or is empty; or a line is malformed, ends before it starts, is shorter than
            a frame, lies outside its section, or names a recording that is missing or ends earlier. The message names
            file and line.
    """
    recordings = None if audio is None else AudioFolder(audio)
    for line in read_lines(path, COLUMNS):
        segment = _segment(line)
        if recordings is not None:
            recordings.check(segment.section, line.where)
        yield segment


def write_segments(segments: Iterable[SpeechSegment], path: Path, *, folder: Path = Path()) -> int:
    """Write a list of segments, or a manifest of them; returns how many.

    Args:
        segments: to write; kept only for a manifest, which does not say their sections.
        path: .tsv and .parquet are manifests.
        folder: that the paths start from; a manifest's paths still lead there.

    Raises:
        InputError: a path or speaker that a list cannot hold.
    """
    if path.suffix not in MANIFESTS:
        return write_lines(segments, path, segment_text)
    manifest = Manifest(tuple(map(clip_of, segments)), folder)
    write_manifest(manifest, path)
    return len(manifest)


def segment_text(segment: SpeechSegment) -> str:
    """A segment as a list writes it; spaces in its label become `_`.

    >>> segment_text(SpeechSegment(Span("a.wav", "anna", 0.5, 2.0), 0.82, 1.14, "zoom in"))
    'a.wav anna 0.5 2.0 0.82 1.14 zoom_in'

    Raises:
        InputError: a path or speaker that a list cannot hold.
    """
    times = f"{time_text(segment.start_s)} {time_text(segment.end_s)}"
    return f"{span_text(segment.section)} {times} {listed_label(segment.label) or NO_LABEL}"


def clip_of(segment: SpeechSegment) -> Clip:
    """A segment as a clip of a manifest."""
    return Clip(segment.section.path, segment.start_s, segment.end_s, segment.section.speaker, segment.label)


def read_clips(
    source: Path, audio: Path | None = None, *, split: str | None = None
) -> tuple[Iterator[Clip], AudioFolder]:
    """The clips of a manifest or the segments of a list, and where their recordings lie.

    Args:
        source: a manifest (.tsv, .parquet) or a list of segments.
        audio: folder that the paths of a list start from.
        split: of a manifest; None for all.

    Returns:
        Clips, read as they are asked for, and their recordings.

    Raises:
        InputError: as `read_manifest` and `read_segments`; a list without `audio`, a manifest with it, or no clip of
            the split.
    """
    if source.suffix not in MANIFESTS:
        if split is not None:
            raise InputError(f"--split {split}: a list of segments has no splits; leave it out")
        if audio is None:
            raise InputError(f"--audio FOLDER: say where the paths in {source} start from")
        return map(clip_of, read_segments(source, audio=audio)), AudioFolder(audio)
    if audio is not None:
        raise InputError("--audio: for lists of segments; a manifest says where its files lie")
    manifest = of_split(read_manifest(source), split, source)
    return iter(manifest), AudioFolder(manifest.folder)


def _segment(line: Line) -> SpeechSegment:
    section, (start_s, end_s) = line.span(), line.bounds(4)
    if not section.holds(start_s, end_s):
        raise InputError(
            f"{line.where}: the segment from {start_s:g} to {end_s:g} s is not inside its section from"
            f" {section.start_s:g} to {section.end_s:g} s; all times count from the start of the file"
        )
    label = line.values[6]
    return SpeechSegment(section, start_s, end_s, "" if label == NO_LABEL else label)
