"""Lists of sections, the stretches of recordings in which somebody speaks: lines `wav spk vad_start vad_end`."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.lists.spans import AudioFolder, Span, read_lines, span_text, write_lines
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest

COLUMNS = ("wav", "spk", "vad_start", "vad_end")
MANIFESTS = frozenset({".tsv", ".parquet"})


def read_sections(path: Path, *, audio: Path | None = None) -> Iterator[Span]:
    """Read a list of sections, or a manifest whose clips are sections, one after the other.

    Args:
        path: the list; .tsv and .parquet are manifests.
        audio: folder that the paths start from; when given, every section has to lie inside its recording. The clips
            of a manifest start from the manifest's folder, and are checked where they say no end.

    Raises:
        InputError: the list cannot be read or is empty; or a line is malformed, ends before it starts, is shorter than
            a frame, or names a recording that is missing or ends earlier. The message names file and line.
    """
    if path.suffix in MANIFESTS:
        yield from sections_of(read_manifest(path))
        return
    recordings = None if audio is None else AudioFolder(audio)
    for line in read_lines(path, COLUMNS):
        section = line.span()
        if recordings is not None:
            recordings.check(section, line.where)
        yield section


def write_sections(sections: Iterable[Span], path: Path, *, folder: Path = Path()) -> int:
    """Write a list of sections, or a manifest of them; returns how many.

    Args:
        sections: to write; kept only for a manifest.
        path: .tsv and .parquet are manifests.
        folder: that the paths start from; a manifest's paths still lead there.

    Raises:
        InputError: a path or speaker that a list cannot hold.
    """
    if path.suffix not in MANIFESTS:
        return write_lines(sections, path, span_text)
    manifest = manifest_of_sections(sections, folder)
    write_manifest(manifest, path)
    return len(manifest)


def sections_of(manifest: Manifest) -> Iterator[Span]:
    """Each clip of a manifest as a section; a clip without end goes on to the end of its file.

    Raises:
        InputError: the recording of a clip without end is missing.
    """
    recordings = AudioFolder(manifest.folder)
    for clip in manifest:
        end_s = recordings.end_s(clip.path) if clip.end_s is None else clip.end_s
        yield Span(clip.path, clip.speaker, clip.start_s, end_s)


def of_split(manifest: Manifest, split: str | None, source: Path) -> Manifest:
    """The clips of a split, or all.

    Args:
        manifest: all clips.
        split: None for all.
        source: the manifest's file, for messages.

    Raises:
        InputError: no clip of the split.
    """
    if split is None:
        return manifest
    kept = manifest.only(split)
    if not kept.clips:
        found = sorted({clip.split or "(none)" for clip in manifest})
        raise InputError(f"{source}: no clips of the split {split!r}; it has {', '.join(found)}")
    return kept


def manifest_of_sections(sections: Iterable[Span], folder: Path) -> Manifest:
    """A manifest with a clip a section."""
    clips = tuple(Clip(section.path, section.start_s, section.end_s, section.speaker) for section in sections)
    return Manifest(clips, folder)


def by_path(sections: Iterable[Span]) -> dict[str, list[Span]]:
    """Sections by recording, in their order."""
    ordered = sorted(sections, key=lambda section: section.path)
    return {path: list(group) for path, group in groupby(ordered, key=lambda section: section.path)}
