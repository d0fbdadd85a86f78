"""Lists of sections, the parts of recordings that contain speech: lines `wav spk vad_start vad_end`."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.list_format import ListFormat, read_records, write_list
from earmark.data.lists.spans import Span, span_columns, span_values
from earmark.data.manifest import Clip, Manifest, is_manifest, read_manifest

SECTIONS = ListFormat(Span, span_columns("wav", "spk", "vad_start", "vad_end"), values=span_values, spans=(2,))


def read_sections(path: Path, *, audio: Path | None = None) -> Iterator[Span]:
    """Read a list of sections, or a manifest whose clips are sections, one by one.

    Args:
        path: the list; .tsv and .parquet are manifests.
        audio: folder that the paths of a list start from; if given, every section must be inside its recording.

    Raises:
        InputError: see `read_records`; or a recording is missing or ends before the section.
    """
    if is_manifest(path):
        yield from sections_of(read_manifest(path))
        return
    yield from read_records(path, SECTIONS, None if audio is None else AudioFolder(audio).check_record)


def write_sections(sections: Iterable[Span], path: Path, *, folder: Path = Path()) -> int:
    """Write a list of sections, or a manifest of them, see `write_list`; return their number."""

    def clip_of(section: Span) -> Clip:
        return Clip(section.path, section.start_s, section.end_s, section.speaker)

    return write_list(sections, path, SECTIONS, clip_of, folder)


def sections_of(manifest: Manifest) -> Iterator[Span]:
    """Yield each clip of a manifest as a section; a clip without end ends with its file.

    Raises:
        InputError: the recording of a clip without end is missing.
    """
    recordings = AudioFolder(manifest.folder)
    for clip in manifest:
        end_s = recordings.end_s(clip.path) if clip.end_s is None else clip.end_s
        yield Span(clip.path, clip.speaker, clip.start_s, end_s)


def by_path(sections: Iterable[Span]) -> dict[str, list[Span]]:
    """Group sections by recording; the sections of a recording keep their order."""
    ordered = sorted(sections, key=lambda section: section.path)
    return {path: list(group) for path, group in groupby(ordered, key=lambda section: section.path)}
