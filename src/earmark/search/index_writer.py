"""Changes of an index: add and drop recordings, commit, merge segments, write neighbor indexes."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from earmark import __version__
from earmark.core.errors import EarmarkError
from earmark.core.files import DRAFT, remove_drafts, write_bytes
from earmark.search.contents import SEGMENTS, SegmentEntry, check_encoder, read_contents, write_contents
from earmark.search.embedding import EmbeddedRecording, FileEntry, Recording, absolute, read_entry
from earmark.search.faiss_index import learn_codebook, write_neighbors
from earmark.search.segments import IndexSegment, StoredRecording, open_segment, write_segment
from earmark.search.settings import IndexSettings
from earmark.search.shards import embedded_recordings, remove_job

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

SEGMENT_FRAMES = 1_000_000
"""Largest number of frames of a merged segment, about eleven hours of active audio."""

RETRAIN_FACTOR = 8
"""The codebook is learned again when the index has grown by this factor."""


class _Location(NamedTuple):
    """The segment that holds the frames of an indexed file, and the number of the file in this segment."""

    segment: str
    number: int
    file: FileEntry


class IndexWriter:
    """Adds recordings to an index, drops files, and merges segments; the caller has locked the folder of the index."""

    def __init__(self, path: Path, encoder: Encoder, segment_frames: int = SEGMENT_FRAMES) -> None:
        self._path, self._segment_frames = path, segment_frames
        self._contents = read_contents(path)
        check_encoder(path, self._contents, encoder)
        self._locations: dict[Path, _Location] = {}
        self._by_digest: dict[str, set[Path]] = defaultdict(set)
        self._sizes: set[int] = set()
        for entry in self._contents.segments:
            self._learn(entry)
        self._sweep()
        self._from_job = embedded_recordings(path, self._contents.encoder.width)

    @property
    def settings(self) -> IndexSettings:
        """Settings of the index."""
        return self._contents.settings

    def is_current(self, recording: Recording) -> bool:
        """Whether the index holds the recording, and the file has not changed since."""
        known = self._locations.get(absolute(recording.path))
        return known is not None and _is_unchanged(recording, known.file)

    def from_job(self, recording: Recording) -> StoredRecording | None:
        """Return the frames that workers of an interrupted job embedded for this recording; None if there are none."""
        found = self._from_job.get(str(absolute(recording.path)))
        return found if found is not None and _is_unchanged(recording, found.file) else None

    def same_content(self, recording: Recording) -> StoredRecording | None:
        """Return the frames of an indexed file that has the same content but another name or date; None if none has."""
        try:
            # Only a file whose size is known is read for its digest, so that new files are not read twice.
            if recording.path.stat().st_size not in self._sizes:
                return None
            entry = read_entry(recording)
        except (EarmarkError, OSError):
            return None  # the executor reports the error
        for path in sorted(self._by_digest.get(entry.digest, set())):
            known = self._locations[path]
            if known.file.spans == entry.spans:
                folder = self._path / SEGMENTS / known.segment
                return StoredRecording(folder, known.number, entry, self._contents.encoder.width)
        return None

    def commit(self, recordings: Sequence[EmbeddedRecording]) -> None:
        """Add recordings to the index; each replaces the indexed file of its path, and that from which it was moved."""
        if not recordings:
            return
        replaced = {Path(recording.file.path) for recording in recordings}
        for recording in recordings:
            # A file with the same content that no longer exists has been moved.
            replaced |= {path for path in self._by_digest.get(recording.file.digest, set()) if not path.is_file()}
        kept = self._without(replaced)
        entry = self._write(recordings)
        self._save([*kept, entry])
        self._forget(replaced)
        self._learn(entry)

    def drop_missing(self, folders: Sequence[Path]) -> int:
        """Drop indexed files below these folders that no longer exist; returns the number of dropped files."""
        roots = [absolute(folder) for folder in folders]
        missing = {
            path for path in self._locations if any(path.is_relative_to(root) for root in roots) and not path.is_file()
        }
        self._save(self._without(missing))
        self._forget(missing)
        return len(missing)

    def merge(self) -> None:
        """Merge small segments into large ones, and leave out dropped files."""
        while group := self._mergeable():
            recordings = [
                segment.recording(number) for segment in map(self._open, group) for number, _ in segment.kept_files()
            ]
            kept = [entry for entry in self._contents.segments if entry not in group]
            self._save([*kept, self._write(recordings)] if recordings else kept)
            for entry in group:
                shutil.rmtree(self._path / SEGMENTS / entry.name, ignore_errors=True)

    def update_neighbors(self) -> None:
        """Write the missing neighbor indexes of segments, if the index has at least `neighbors_from_h` hours."""
        contents = self._contents
        frames = sum(self._open(entry).kept_frames for entry in contents.segments)
        if not frames or frames * contents.encoder.hop_s < 3600 * contents.settings.neighbors_from_h:
            return
        if contents.codebook is None or frames > RETRAIN_FACTOR * contents.codebook_frames:
            segments = [self._open(entry) for entry in contents.segments]
            codebook = learn_codebook(segments, contents.encoder, contents.settings)
            name = f"codebook-{self._next_number():06d}.faiss"
            write_bytes(self._path / name, codebook)
            # All segments are indexed again with the new codebook.
            stale = [entry.model_copy(update={"codebook": None}) for entry in contents.segments]
            self._save(stale, name, frames)
        codebook = (self._path / str(self._contents.codebook)).read_bytes()
        for entry in self._contents.segments:
            if entry.codebook != self._contents.codebook:
                write_neighbors(self._open(entry), codebook, contents.encoder, contents.settings)
                done = entry.model_copy(update={"codebook": self._contents.codebook})
                self._save([done if one.name == entry.name else one for one in self._contents.segments])

    def _sweep(self) -> None:
        """Delete what a killed process left in the folder: segments outside the index, drafts, old codebooks, a job."""
        remove_drafts(self._path)
        remove_drafts(self._path / SEGMENTS)
        named = {entry.name for entry in self._contents.segments}
        for folder in (self._path / SEGMENTS).iterdir():
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)
        for file in self._path.iterdir():
            is_old_codebook = file.name.startswith("codebook-") and file.name != self._contents.codebook
            is_old_draft = file.name.startswith(DRAFT) and file.is_file()  # of earmark 0.1
            if is_old_codebook or is_old_draft:
                file.unlink(missing_ok=True)
        remove_job(self._path, keep_frames=True)

    def _write(self, recordings: Sequence[EmbeddedRecording]) -> SegmentEntry:
        """Write recordings to a new segment and return its entry, which is not part of the index yet."""
        name = f"{self._next_number():06d}"
        write_segment(self._path / SEGMENTS / name, recordings)
        frames = sum(len(recording.frames) for recording in recordings)
        return SegmentEntry(name=name, files=len(recordings), frames=frames)

    def _without(self, paths: Iterable[Path]) -> list[SegmentEntry]:
        """Return the entries of all segments, with the files at these paths marked as removed."""
        gone: dict[str, set[int]] = defaultdict(set)
        for path in paths:
            if path in self._locations:
                gone[self._locations[path].segment].add(self._locations[path].number)
        return [
            entry.model_copy(update={"removed": tuple(sorted({*entry.removed, *gone[entry.name]}))})
            if entry.name in gone
            else entry
            for entry in self._contents.segments
        ]

    def _mergeable(self) -> list[SegmentEntry]:
        """Choose segments to merge: small segments, and those with more than half of their frames dropped."""
        group = []
        total = 0
        for entry in self._contents.segments:
            kept = self._open(entry).kept_frames
            is_small = entry.frames < self._segment_frames // 2
            is_sparse = entry.removed and 2 * kept < entry.frames
            if (is_small or is_sparse) and total + kept <= self._segment_frames:
                group.append(entry)
                total += kept
        return group if len(group) > 1 or any(entry.removed for entry in group) else []

    def _save(self, segments: Sequence[SegmentEntry], codebook: str | None = None, codebook_frames: int = 0) -> None:
        """Write `index.json` with these segments, and with a new codebook if one is named."""
        changes: dict[str, object] = {"segments": tuple(segments), "versions": versions()}
        if codebook is not None:
            changes |= {"codebook": codebook, "codebook_frames": codebook_frames}
        contents = self._contents.model_copy(update=changes)
        if contents != self._contents:
            write_contents(self._path, contents)
        self._contents = contents

    def _learn(self, entry: SegmentEntry) -> None:
        """Remember the path, digest and size of each file of a segment, for later look-ups."""
        for number, file in self._open(entry).kept_files():
            path = absolute(Path(file.path))
            self._locations[path] = _Location(entry.name, number, file)
            self._by_digest[file.digest].add(path)
            self._sizes.add(file.size)

    def _forget(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if (known := self._locations.pop(path, None)) is not None:
                self._by_digest[known.file.digest].discard(path)

    def _open(self, entry: SegmentEntry) -> IndexSegment:
        folder = self._path / SEGMENTS / entry.name
        return open_segment(folder, removed=set(entry.removed), width=self._contents.encoder.width)

    def _next_number(self) -> int:
        """Return a number for a new segment or codebook, which none in the folder has."""
        taken = [folder.name for folder in (self._path / SEGMENTS).iterdir()]
        taken += [file.stem.removeprefix("codebook-") for file in self._path.glob("codebook-*.faiss")]
        return 1 + max((int(name) for name in taken if name.isdigit()), default=0)


def versions() -> dict[str, str]:
    """Return the versions of the packages that write an index, by name."""
    found = {"earmark": __version__}
    for package in ("numpy", "onnxruntime", "faiss-cpu"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _is_unchanged(recording: Recording, entry: FileEntry) -> bool:
    try:
        status = recording.path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns, recording.spans) == (entry.size, entry.mtime_ns, entry.spans)
