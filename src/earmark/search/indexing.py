"""Make an index, or update one: embed new and changed recordings, keep unchanged ones, drop missing ones.

Results are committed after every few minutes of audio. If the process is killed or the disk is full, the index stays
as after the last commit, and the same call continues from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.core.errors import InputError, writing
from earmark.core.files import DRAFT, folder_lock
from earmark.core.progress import Progress, no_progress
from earmark.search.contents import (
    SEGMENTS,
    Contents,
    EncoderEntry,
    check_encoder,
    default_path,
    has_contents,
    read_contents,
    write_contents,
)
from earmark.search.embedding import EmbeddedRecording, Failure, Recording, absolute
from earmark.search.executors import Executor, ThreadExecutor
from earmark.search.index_writer import SEGMENT_FRAMES, IndexWriter, versions
from earmark.search.segments import StoredRecording
from earmark.search.settings import IndexSettings
from earmark.search.shards import remove_job

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

COMMIT_S = 900.0
"""Seconds of audio after which results are committed."""


@dataclass
class IndexReport:
    """Numbers of files that an update of an index embedded, copied, kept and dropped, and its failures.

    Attributes:
        embedded: files that were embedded.
        embedded_s: seconds of audio in them.
        copied: files that were indexed under another name or date; their frames were copied.
        unchanged: files that the index held already.
        dropped: files that no longer exist.
        failures: files that cannot be indexed.
    """

    embedded: int = 0
    embedded_s: float = 0.0
    copied: int = 0
    unchanged: int = 0
    dropped: int = 0
    failures: list[Failure] = field(default_factory=list)


def update_index(
    path: str | Path | None,
    recordings: Sequence[Recording],
    encoder: Encoder,
    *,
    settings: IndexSettings | None = None,
    folders: Sequence[Path] = (),
    threads: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
    commit_s: float = COMMIT_S,
    segment_frames: int = SEGMENT_FRAMES,
) -> IndexReport:
    """Add recordings to an index, and make the index if there is none.

    A file that was moved or renamed is recognized by its content: its frames are copied, and its old name is dropped.

    Args:
        path: folder of the index; None for `default_path()`.
        recordings: recordings to index.
        encoder: computes the frames; it must be the encoder that made the index.
        settings: settings of the index; None for its stored settings, or for the defaults in a new index.
        folders: files of the index below these folders are dropped if they no longer exist.
        threads: recordings that are embedded at the same time.
        executor: embeds the recordings; None for threads of this process.
        progress: called with the number of finished recordings.
        commit_s: seconds of audio after which results are committed.
        segment_frames: largest number of frames of a merged segment.

    Raises:
        InputError: the index was made by another encoder or with other settings, is damaged, or the path is not an
            index.
        EarmarkError: another process writes the index, or the disk is full.
    """
    path = default_path() if path is None else Path(path)
    with writing(path):
        _prepare(path, encoder, settings)
        with folder_lock(path):
            writer = IndexWriter(path, encoder, segment_frames)
            report = _add(writer, recordings, encoder, executor or ThreadExecutor(threads), path, progress, commit_s)
            remove_job(path, keep_frames=False)
            report.dropped = writer.drop_missing(folders)
            writer.merge()
            writer.update_neighbors()
    return report


@dataclass(frozen=True)
class _Plan:
    """A recording to index, and the source of its frames.

    Attributes:
        recording: the recording.
        stored: frames that exist already; None to embed the recording.
        is_unchanged: the index holds the recording already.
        is_copied: `stored` is part of the index.
    """

    recording: Recording
    stored: StoredRecording | None = None
    is_unchanged: bool = False
    is_copied: bool = False

    @property
    def is_new(self) -> bool:
        """Whether the recording must be embedded."""
        return self.stored is None and not self.is_unchanged


def _add(
    writer: IndexWriter,
    recordings: Sequence[Recording],
    encoder: Encoder,
    executor: Executor,
    path: Path,
    progress: Progress,
    commit_s: float,
) -> IndexReport:
    """Embed new and changed recordings, commit them to the index, and count the outcomes in a report."""
    plans = [_plan(writer, recording) for recording in _unique(recordings)]
    new = [plan.recording for plan in plans if plan.is_new]
    report = IndexReport()
    pending: list[EmbeddedRecording] = []
    pending_s = 0.0
    start = time.monotonic()
    progress("indexing", 0, len(plans))
    with closing(executor.embed(new, encoder, writer.settings, path)) as results:
        for done, plan in enumerate(plans, 1):
            found = None if plan.is_unchanged else next(results) if plan.stored is None else plan.stored.read()
            _count(report, plan, found)
            if isinstance(found, EmbeddedRecording):
                pending.append(found)
                pending_s += found.file.duration_s
            speed = report.embedded_s / max(1e-3, time.monotonic() - start)
            progress(f"indexing ({speed:.0f} × real time, {plan.recording.path.name[-30:]})", done, len(plans))
            if pending_s >= commit_s:
                writer.commit(pending)
                pending, pending_s = [], 0.0
    writer.commit(pending)
    return report


def _plan(writer: IndexWriter, recording: Recording) -> _Plan:
    """Decide whether a recording must be embedded, or whether its frames exist already."""
    if writer.is_current(recording):
        return _Plan(recording, is_unchanged=True)
    if (stored := writer.from_job(recording)) is not None:
        return _Plan(recording, stored)
    stored = writer.same_content(recording)
    return _Plan(recording, stored, is_copied=stored is not None)


def _count(report: IndexReport, plan: _Plan, found: EmbeddedRecording | Failure | None) -> None:
    if found is None:
        report.unchanged += 1
    elif isinstance(found, Failure):
        report.failures.append(found)
    elif plan.is_copied:
        report.copied += 1
    else:
        report.embedded += 1
        report.embedded_s += found.file.duration_s


def _unique(recordings: Sequence[Recording]) -> Iterator[Recording]:
    """Yield each file once, with the spans of all its recordings; without spans if one recording is the whole file."""
    found: dict[Path, Recording] = {}
    for recording in recordings:
        path = absolute(recording.path)
        known = found.get(path)
        if known is None:
            found[path] = recording
        elif known.spans:
            found[path] = replace(known, spans=(*known.spans, *recording.spans) if recording.spans else ())
    yield from found.values()


def _prepare(path: Path, encoder: Encoder, settings: IndexSettings | None) -> None:
    """Make an empty index if there is none; raise an error if the existing one has another encoder or settings."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file, but an index is a folder; name another folder")
    if has_contents(path):
        contents = read_contents(path)
        check_encoder(path, contents, encoder)
        for key, value in contents.settings:
            if settings is not None and (given := getattr(settings, key)) != value:
                raise InputError(
                    f"{given} differs from {value}, with which {path} was made; give {value}, or make another index",
                    key=key,
                )
        return
    files = [file.name for file in path.iterdir() if file.name not in {SEGMENTS, ".lock"}] if path.is_dir() else []
    if other := [name for name in files if not name.startswith(DRAFT)]:
        raise InputError(f"{path}: the folder holds {other[0]} but no index; name a new folder")
    (path / SEGMENTS).mkdir(parents=True, exist_ok=True)
    empty = Contents(encoder=EncoderEntry.of(encoder), settings=settings or IndexSettings(), versions=versions())
    write_contents(path, empty)
