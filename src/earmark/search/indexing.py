"""Make an index, or add to one: new and changed recordings are embedded, unchanged ones are left, gone ones forgotten.

Work is committed every few minutes of sound. A process that is killed, or a disk that fills, leaves the index as the
last commit left it; the same command again goes on from there.
"""

from __future__ import annotations

import errno
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from earmark import __version__
from earmark.core.errors import EarmarkError, InputError
from earmark.search.contents import (
    NAME,
    SEGMENTS,
    Contents,
    EncoderEntry,
    SegmentEntry,
    read_contents,
    write_contents,
)
from earmark.search.embedding import Embedded, Failure, FileEntry, Recording, entry_of
from earmark.search.executors import Crew, Due, Team, Threads
from earmark.search.faiss_index import add_neighbors, learn_codebook
from earmark.search.segments import Segment, Stored, open_segment, write_segment
from earmark.search.settings import IndexSettings
from earmark.search.shards import clear_job, left_over
from earmark.search.storage import PARTIAL, only_writer, write_bytes

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

COMMIT_S = 900.0
"""Seconds of sound after which what was embedded is committed."""

LARGEST_FRAMES = 1_000_000  # of a segment, about eleven hours of sections; a longer recording is one of its own
RETRAIN_FACTOR = 8  # a codebook is learned anew when the index has grown by this much


class Progress(Protocol):
    """Is told how the work goes."""

    def __call__(self, path: Path, duration_s: float) -> None:
        """A recording is done: embedded, unchanged or refused; 0 s where it was not embedded."""


@dataclass
class Report:
    """What an indexing did.

    Attributes:
        embedded: files that were embedded.
        embedded_s: seconds of sound in them.
        copied: files that were known under another name or date: their frames were copied.
        unchanged: files that the index holds already.
        forgotten: files that are no longer there.
        failures: files that cannot be indexed.
    """

    embedded: int = 0
    embedded_s: float = 0.0
    copied: int = 0
    unchanged: int = 0
    forgotten: int = 0
    failures: list[Failure] = field(default_factory=list)


def update(
    path: str | Path,
    recordings: Sequence[Recording],
    encoder: Encoder,
    *,
    settings: IndexSettings | None = None,
    folders: Sequence[Path] = (),
    threads: int = 1,
    crew: Crew | None = None,
    progress: Progress | None = None,
    commit_s: float = COMMIT_S,
) -> Report:
    """Let an index hold these recordings, beside what it holds already.

    Args:
        path: the index, a folder; made when absent.
        recordings: what it shall hold.
        encoder: gives the frames; that of the index.
        settings: those of the index; None for its own, or the defaults.
        folders: what the index knows in these, and is no longer there, is forgotten.
        threads: recordings that are embedded at the same time.
        crew: who embeds them; None for so many threads of this process.
        progress: is told of each recording.
        commit_s: seconds of sound after which what was embedded is committed.

    Raises:
        InputError: the index was made by another encoder or with other settings, or the path is no place for one.
        EarmarkError: the index is damaged, another program writes it, or the disk is full.
    """
    path = Path(path)
    with _explained(path):
        _prepare(path, encoder, settings)
        with only_writer(path):
            writer = _Writer(path, encoder)
            writer.sweep()
            with (crew or Threads(threads)).gather(path, encoder, writer.settings) as team:
                report = writer.add(recordings, team, progress, commit_s)
            clear_job(path, is_done=True)
            report.forgotten = writer.forget(folders)
            writer.merge()
            writer.make_neighbors()
    return report


class _Writer:
    """The index while it is written: what it consists of, and which file lies where."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self._path, self._encoder = path, encoder
        self._contents = read_contents(path)
        if self._contents.encoder.fingerprint != encoder.fingerprint:
            raise _other_encoder(path, self._contents, encoder)
        self._places: dict[str, tuple[str, int, FileEntry]] = {}
        self._by_digest: dict[tuple[str, object], tuple[str, int]] = {}
        self._sizes: set[tuple[int, object]] = set()
        self._left: dict[str, Stored] = {}
        for entry in self._contents.segments:
            self._learn(entry.name)

    @property
    def settings(self) -> IndexSettings:
        """What of the sound is kept."""
        return self._contents.settings

    def sweep(self) -> None:
        """Delete what a killed process left: segments that belong to nothing, unfinished files; keep what is useful."""
        named = {entry.name for entry in self._contents.segments}
        for folder in (self._path / SEGMENTS).iterdir():
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)
        for file in self._path.iterdir():
            is_old = file.name.startswith("codebook-") and file.name != self._contents.codebook
            if is_old or file.name.startswith(PARTIAL):
                file.unlink(missing_ok=True)
        clear_job(self._path)
        self._left = left_over(self._path, self._contents.encoder.width)

    def add(self, recordings: Sequence[Recording], team: Team, progress: Progress | None, commit_s: float) -> Report:
        """Embed what is new or changed, and commit it bit by bit."""
        report = Report()
        pending: list[Embedded] = []
        pending_s = 0.0
        seen = progress or (lambda _path, _duration_s: None)
        for recording, found, is_new in self._embedded(recordings, team):
            if found is None:
                report.unchanged += 1
            elif isinstance(found, Failure):
                report.failures.append(found)
            else:
                pending.append(found)
                pending_s += found.file.duration_s
                report.embedded += is_new
                report.copied += not is_new
                report.embedded_s += found.file.duration_s * is_new
            seen(recording.path, found.file.duration_s if isinstance(found, Embedded) and is_new else 0.0)
            if pending_s >= commit_s:
                self._commit(pending)
                pending, pending_s = [], 0.0
        self._commit(pending)
        return report

    def forget(self, folders: Sequence[Path]) -> int:
        """Let files no longer count that lay in one of the folders and are not there any more."""
        roots = [folder.absolute() for folder in folders]
        gone = [
            name
            for name in self._places
            if any(Path(name).is_relative_to(root) for root in roots) and not Path(name).is_file()
        ]
        self._save(self._removed(gone))
        for name in gone:
            del self._places[name]
        return len(gone)

    def merge(self) -> None:
        """Make few large segments of many small ones, without what no longer counts."""
        while group := self._mergeable():
            recordings = [
                segment.recording(number) for segment in map(self._open, group) for number, _ in segment.kept_files()
            ]
            entry = self._write(recordings)
            kept = [one for one in self._contents.segments if one not in group]
            self._save([*kept, entry] if entry else kept)
            for old in group:
                shutil.rmtree(self._path / SEGMENTS / old.name, ignore_errors=True)

    def make_neighbors(self) -> None:
        """Let FAISS know the windows of every segment, once there are enough of them."""
        contents = self._contents
        frames = sum(self._open(entry).kept_frames for entry in contents.segments)
        if not frames or frames * contents.encoder.hop_s < 3600 * contents.settings.neighbors_from_h:
            return
        hop_s, parts = contents.encoder.hop_s, contents.encoder.parts
        if contents.codebook is None or frames > RETRAIN_FACTOR * contents.codebook_frames:
            codebook = learn_codebook(
                [*map(self._open, contents.segments)], contents.settings, hop_s=hop_s, parts=parts
            )
            name = f"codebook-{self._next_number():06d}.faiss"
            write_bytes(self._path / name, codebook)
            # Segments of the old codebook are written anew: a neighbors index is only replaced as a whole.
            stale = [one.model_copy(update={"codebook": None}) for one in contents.segments]
            self._save(stale, name, frames)
        codebook = (self._path / str(self._contents.codebook)).read_bytes()
        for entry in self._contents.segments:
            if entry.codebook != self._contents.codebook:
                add_neighbors(self._open(entry), codebook, contents.settings, hop_s=hop_s, parts=parts)
                done = entry.model_copy(update={"codebook": self._contents.codebook})
                self._save([done if one.name == entry.name else one for one in self._contents.segments])

    def _embedded(
        self, recordings: Sequence[Recording], team: Team
    ) -> Iterator[tuple[Recording, Embedded | Failure | None, bool]]:
        """Each recording with what became of it (None: unchanged), and whether it was embedded rather than copied."""
        waiting: deque[tuple[Recording, Due | None, bool]] = deque()
        for recording in _once(recordings):
            waiting.append((recording, *self._due(recording, team)))
            if len(waiting) > team.ahead:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())

    def _due(self, recording: Recording, team: Team) -> tuple[Due | None, bool]:
        """Where a recording comes from (None: it is unchanged), and whether it is or was embedded, and not copied."""
        name = str(recording.path.absolute())
        known = self._places.get(name)
        if known is not None and _is_unchanged(recording, known[2]):
            return None, False
        left = self._left.get(name)
        if left is not None and _is_unchanged(recording, left.file):
            return left, True
        twin = self._twin(recording)
        return (team.submit(recording), True) if twin is None else (twin, False)

    def _twin(self, recording: Recording) -> Stored | None:
        """The frames of a file of another name or date but the same content."""
        try:
            # Only what has the size of something known is read for its digest: not all that is new is read twice.
            if (recording.path.stat().st_size, recording.stretches) not in self._sizes:
                return None
            entry = entry_of(recording)
        except (EarmarkError, OSError):
            return None  # who embeds it says why not
        twin = self._by_digest.get((entry.digest, entry.stretches))
        if twin is None:
            return None
        return Stored(self._path / SEGMENTS / twin[0], twin[1], entry, self._contents.encoder.width)

    def _commit(self, recordings: Sequence[Embedded]) -> None:
        """Let recordings belong to the index, and what they replace no longer count."""
        if not recordings:
            return
        removed = self._removed([recording.file.path for recording in recordings])
        entry = self._write(recordings)
        self._save([*removed, entry] if entry else removed)
        if entry:
            self._learn(entry.name)

    def _write(self, recordings: Sequence[Embedded]) -> SegmentEntry | None:
        """Write a segment; it belongs to nothing yet."""
        if not recordings:
            return None
        name = f"{self._next_number():06d}"
        write_segment(self._path / SEGMENTS / name, recordings)
        frames = sum(len(recording.frames) for recording in recordings)
        return SegmentEntry(name=name, files=len(recordings), frames=frames)

    def _removed(self, names: Sequence[str]) -> tuple[SegmentEntry, ...]:
        """The segments, when files of these names no longer count."""
        gone: dict[str, set[int]] = {}
        for name in names:
            if name in self._places:
                segment, number, _ = self._places[name]
                gone.setdefault(segment, set()).add(number)
        return tuple(
            entry.model_copy(update={"removed": tuple(sorted({*entry.removed, *gone[entry.name]}))})
            if entry.name in gone
            else entry
            for entry in self._contents.segments
        )

    def _mergeable(self) -> list[SegmentEntry]:
        """Segments to be made one: the small ones, and those of which half no longer counts."""
        group = []
        total = 0
        for entry in self._contents.segments:
            kept = self._open(entry).kept_frames
            is_small = entry.frames < LARGEST_FRAMES // 2
            is_dead = entry.removed and 2 * kept < entry.frames
            if (is_small or is_dead) and total + kept <= LARGEST_FRAMES:
                group.append(entry)
                total += kept
        is_worth_it = len(group) > 1 or any(entry.removed for entry in group)
        return group if is_worth_it else []

    def _save(self, segments: Sequence[SegmentEntry], codebook: str | None = None, codebook_frames: int = 0) -> None:
        """Let the index consist of these segments; the codebook stays unless another one is named."""
        changes: dict[str, object] = {"segments": tuple(segments), "versions": _versions()}
        if codebook is not None:
            changes |= {"codebook": codebook, "codebook_frames": codebook_frames}
        contents = self._contents.model_copy(update=changes)
        if contents != self._contents:
            write_contents(self._path, contents)
        self._contents = contents

    def _learn(self, name: str) -> None:
        """Which files a segment holds."""
        for number, file in self._open_named(name).kept_files():
            self._places[file.path] = name, number, file
            self._by_digest[file.digest, file.stretches] = name, number
            self._sizes.add((file.size, file.stretches))

    def _open(self, entry: SegmentEntry) -> Segment:
        folder = self._path / SEGMENTS / entry.name
        return open_segment(folder, removed=set(entry.removed), width=self._contents.encoder.width)

    def _open_named(self, name: str) -> Segment:
        return self._open(next(entry for entry in self._contents.segments if entry.name == name))

    def _next_number(self) -> int:
        """A number that no segment and no codebook has, or has had since the last sweep."""
        taken = [folder.name for folder in (self._path / SEGMENTS).iterdir()]
        taken += [file.stem.removeprefix("codebook-") for file in self._path.glob("codebook-*.faiss")]
        return 1 + max((int(name) for name in taken if name.isdigit()), default=0)


def _result(recording: Recording, due: Due | None, is_new: bool) -> tuple[Recording, Embedded | Failure | None, bool]:
    return recording, None if due is None else due.result(), is_new


def _once(recordings: Sequence[Recording]) -> Iterator[Recording]:
    """Each file once, with the stretches of all its mentions; one without any counts as a whole."""
    together: dict[str, Recording] = {}
    for recording in recordings:
        name = str(recording.path.absolute())
        known = together.get(name)
        if known is None:
            together[name] = recording
        elif known.stretches:
            stretches = (*known.stretches, *recording.stretches) if recording.stretches else ()
            together[name] = replace(known, stretches=stretches)
    yield from together.values()


def _is_unchanged(recording: Recording, entry: FileEntry) -> bool:
    try:
        about = recording.path.stat()
    except OSError:
        return False
    return (about.st_size, about.st_mtime_ns, recording.stretches) == (entry.size, entry.mtime_ns, entry.stretches)


def _prepare(path: Path, encoder: Encoder, settings: IndexSettings | None) -> None:
    """Make an empty index where there is none; refuse one that was made in another way."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: a file, and an index is a folder; name another place")
    if (path / NAME).exists():
        contents = read_contents(path)
        if contents.encoder.fingerprint != encoder.fingerprint:
            raise _other_encoder(path, contents, encoder)
        if settings is not None and settings != contents.settings:
            names = [
                name
                for name in IndexSettings.model_fields
                if getattr(settings, name) != getattr(contents.settings, name)
            ]
            raise InputError(
                f"{path}: was made with other settings ({', '.join(names)}); leave them out, or make another index"
            )
        return
    strange = [file.name for file in path.iterdir() if file.name not in {SEGMENTS, ".lock"}] if path.is_dir() else []
    if [name for name in strange if not name.startswith(PARTIAL)]:
        raise InputError(f"{path}: holds other files ({strange[0]}) and no index; name a new folder")
    (path / SEGMENTS).mkdir(parents=True, exist_ok=True)
    empty = Contents(encoder=EncoderEntry.of(encoder), settings=settings or IndexSettings(), versions=_versions())
    write_contents(path, empty)


def _other_encoder(path: Path, contents: Contents, encoder: Encoder) -> InputError:
    made_by = contents.encoder
    return InputError(
        f"{path}: was made by encoder {made_by.name!r} ({made_by.fingerprint[:12]}), not by {encoder.name!r} "
        f"({encoder.fingerprint[:12]}); name that one with --encoder, or make another index"
    )


def _versions() -> dict[str, str]:
    found = {"earmark": __version__}
    for package in ("numpy", "onnxruntime", "faiss-cpu"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say of a failure to write what became of the index."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            cure = "free some space, and run the same command again"
        else:
            cure = "look at its permissions and the disk"
        raise EarmarkError(
            f"{path}: cannot be written ({error.strerror or error}); what was committed before is kept; {cure}"
        ) from None
