"""Shards of recordings for workers that share a file system, and the frames that the workers return.

Below `cluster/` in the folder of an index:

| file | content |
|---|---|
| `job.json`, `encoder.onnx` | version and settings; the encoder |
| `recordings/000000.parquet` | a shard: a row `path`, `size`, `mtime_ns`, `spans` per recording |
| `embedded/<name>/` | the frames of a shard, as a segment; its name is a hash of the recordings |

When a worker dies, another one gets its shard. The folder `embedded/` stays when workers or the command are killed.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from earmark import __version__
from earmark.core.audio import AudioWarning
from earmark.core.errors import EarmarkError, InputError, needs, writing
from earmark.core.files import read_json, write_json
from earmark.models.encoder import Encoder, load_encoder
from earmark.search.embedding import EmbeddedRecording, Failure, Recording, absolute, embed_recording
from earmark.search.segments import FILES, IndexSegment, StoredRecording, open_segment, read_files, write_segment
from earmark.search.settings import IndexSettings

FOLDER = "cluster"
LARGEST_BYTES = 32_000_000
"""Largest sum of file sizes in a shard, which is embedded again when a worker dies."""
MOST_RECORDINGS = 500
"""Largest number of recordings in a shard."""
MOST_ATTEMPTS = 10
"""Number of workers that may die while they embed the same shard; then the job stops."""

_EMBEDDED, _RECORDINGS, _ATTEMPT = "embedded", "recordings", ".attempt-"


@dataclass(frozen=True)
class ShardResult:
    """The result of one recording of a shard.

    Attributes:
        path: absolute path of the recording.
        segment: folder with its frames, below `cluster/embedded/`; empty after a failure.
        number: number of the recording in the segment.
        message: what failed; empty after a success.
        warnings: warnings about the audio.
    """

    path: str
    segment: str = ""
    number: int = 0
    message: str = ""
    warnings: tuple[str, ...] = ()


def embed_in_shards(
    recordings: Sequence[Recording],
    encoder: Encoder,
    settings: IndexSettings,
    index: Path,
    *,
    workers: int,
    run: Callable[[Sequence[Path]], Iterator[ShardResult]],
) -> Generator[EmbeddedRecording | Failure, None, None]:
    """Write a job, let workers embed its shards, and yield the results in the order of `recordings`.

    Args:
        recordings: each file once.
        encoder: computes the frames.
        settings: settings of the index.
        index: folder of the index, which workers see under the same path.
        workers: number of workers.
        run: calls `embed_shard` for every shard and yields the results, in any order.

    Raises:
        EarmarkError: a result is missing.
    """
    running = run(write_job(index, encoder, settings, recordings, workers))
    results: dict[str, ShardResult] = {}
    segment: IndexSegment | None = None
    for recording in recordings:
        name = str(absolute(recording.path))
        while name not in results:
            found = next(running, None)
            if found is None:
                raise EarmarkError(f"{name}: the workers ended without a result; run the same command again")
            results[found.path] = found
        result = results.pop(name)
        for text in result.warnings:
            warnings.warn(_as_given(text, recording.path), AudioWarning, stacklevel=2)
        if result.message:
            yield Failure(recording.path, _as_given(result.message, recording.path))
            continue
        folder = segment_folder(index, result)
        # Results of a shard follow each other.
        if segment is None or segment.folder != folder:
            segment = open_segment(folder, width=encoder.dimension)
        yield segment.recording(result.number)


def write_job(
    index: Path,
    encoder: Encoder,
    settings: IndexSettings,
    recordings: Sequence[Recording],
    workers: int,
    *,
    largest_bytes: int = LARGEST_BYTES,
    most_recordings: int = MOST_RECORDINGS,
) -> list[Path]:
    """Write the files of a job: shards, encoder and settings.

    Args:
        index: folder of the index.
        encoder: computes the frames.
        settings: settings of the index.
        recordings: each file once.
        workers: number of workers; each gets several shards, so that all end at about the same time.
        largest_bytes: largest sum of file sizes in a shard.
        most_recordings: largest number of recordings in a shard.

    Returns:
        The shards, in the order of the recordings.
    """
    pyarrow, parquet = _pyarrow()
    job = index.absolute() / FOLDER
    (job / _RECORDINGS).mkdir(parents=True, exist_ok=True)
    (job / _EMBEDDED).mkdir(exist_ok=True)
    shutil.copyfile(encoder.path, job / "encoder.onnx")
    write_json(job / "job.json", {"version": __version__, "settings": settings.model_dump()})
    schema = pyarrow.schema(
        [
            ("path", pyarrow.string()),
            ("size", pyarrow.int64()),
            ("mtime_ns", pyarrow.int64()),
            ("spans", pyarrow.list_(pyarrow.list_(pyarrow.float64()))),
        ]
    )
    rows = [_row(recording) for recording in recordings]
    largest_bytes = min(largest_bytes, sum(row["size"] for row in rows) // (4 * workers))
    shards = []
    for number, shard in enumerate(_split(rows, largest_bytes, most_recordings)):
        shards.append(job / _RECORDINGS / f"{number:06d}.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(shard, schema), shards[-1])
    return shards


def embed_shard(shard: Path, *, most_attempts: int = MOST_ATTEMPTS) -> list[ShardResult]:
    """Embed the recordings of a shard that have no frames yet.

    Args:
        shard: a Parquet file of `write_job`.
        most_attempts: number of workers that may die while they embed the shard.

    Returns:
        The result of each recording, in the order of the shard.

    Raises:
        EarmarkError: the job is of another version of earmark, the shard cannot be read, the frames cannot be written,
            or too many workers died while they embedded it.
    """
    job = shard.parents[1]
    if not shard.exists() or not (job / "job.json").exists():
        raise EarmarkError(
            f"{shard}: not found on this worker; all machines must see the index and the recordings under the same path"
        )
    settings = _read_settings(job)
    # Without `partitioning`, a folder a=b would be read as a column.
    rows = _pyarrow()[1].read_table(shard, use_threads=False, partitioning=None).to_pylist()
    results = _written_results(job, _hash(rows))
    rest = [row for row in rows if row["path"] not in results]
    with writing(job.parent), _attempt(job, rest, most_attempts):
        results |= _embed_rows(job, rest, settings)
    return [results[row["path"]] for row in rows]


def segment_folder(index: Path, result: ShardResult) -> Path:
    """Return the folder of the segment that holds the frames of a recording."""
    return index / FOLDER / _EMBEDDED / result.segment


def embedded_recordings(index: Path, width: int) -> dict[str, StoredRecording]:
    """Return the recordings that workers of an interrupted job embedded, by path."""
    found = {}
    for folder in sorted(_finished(index)):
        try:
            segment = open_segment(folder, width=width)
        except InputError:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        for number, file in segment.kept_files():
            found[file.path] = StoredRecording(folder, number, file, width)
    return found


def remove_job(index: Path, *, keep_frames: bool) -> None:
    """Delete the files of a job; `keep_frames` keeps the frames that workers wrote."""
    job = index / FOLDER
    if not keep_frames:
        shutil.rmtree(job, ignore_errors=True)
        return
    kept = {job / _EMBEDDED, *_finished(index)}
    for path in [*job.glob("*"), *(job / _EMBEDDED).glob("*")]:
        if path.is_dir() and path not in kept:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink(missing_ok=True)


def _embed_rows(job: Path, rows: Sequence[dict[str, Any]], settings: IndexSettings) -> dict[str, ShardResult]:
    """Embed the recordings of some rows of a shard, and write their frames; returns the results by path."""
    embedded = [(row["path"], *_embed(_recording(row), _load_encoder(job), settings)) for row in rows]
    whole = [found for _, found, _ in embedded if isinstance(found, EmbeddedRecording)]
    if whole:
        # A worker that was believed dead may write the same folder, too; the first complete folder is kept.
        write_segment(job / _EMBEDDED / _hash(rows), whole)
    results = _written_results(job, _hash(rows))
    for path, found, texts in embedded:
        result = ShardResult(path, message=found.message) if isinstance(found, Failure) else results[path]
        results[path] = replace(result, warnings=texts)
    return results


def _finished(index: Path) -> Iterator[Path]:
    """Yield the folders that hold the complete frames of a shard."""
    folder = index / FOLDER / _EMBEDDED
    return (path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))


def _split(rows: Sequence[dict[str, Any]], largest_bytes: int, most_recordings: int) -> Iterator[list[dict[str, Any]]]:
    """Split the rows of recordings into shards of limited size and number."""
    shard: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        if shard and (size + row["size"] > largest_bytes or len(shard) >= most_recordings):
            yield shard
            shard, size = [], 0
        shard.append(row)
        size += row["size"]
    if shard:
        yield shard


def _row(recording: Recording) -> dict[str, Any]:
    """Make the row that describes a recording in the table of a shard."""
    try:
        status = recording.path.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
    except OSError:
        size = mtime_ns = 0  # the worker reports the error
    path = str(absolute(recording.path))
    return {"path": path, "size": size, "mtime_ns": mtime_ns, "spans": [list(span) for span in recording.spans]}


def _recording(row: dict[str, Any]) -> Recording:
    return Recording(Path(row["path"]), tuple((start, end) for start, end in row["spans"]))


def _embed(
    recording: Recording, encoder: Encoder, settings: IndexSettings
) -> tuple[EmbeddedRecording | Failure, tuple[str, ...]]:
    """Embed a recording; returns the result, and the warnings about its audio, which a worker cannot show."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = embed_recording(recording, encoder, settings)
    return found, tuple(str(warning.message) for warning in caught if issubclass(warning.category, AudioWarning))


def _hash(rows: Sequence[dict[str, Any]]) -> str:
    return hashlib.blake2b(json.dumps(rows, sort_keys=True).encode(), digest_size=12).hexdigest()


def _written_results(job: Path, name: str) -> dict[str, ShardResult]:
    """Return the results for the frames in the folder `name`, by path of the recording; empty without this folder."""
    folder = job / _EMBEDDED / name
    if not (folder / FILES).exists():
        return {}
    return {file.path: ShardResult(file.path, name, number) for number, file in enumerate(read_files(folder))}


@contextmanager
def _attempt(job: Path, rows: Sequence[dict[str, Any]], most: int) -> Iterator[None]:
    """Mark a shard as in work during the block. The marks of killed workers stay and are counted.

    Raises:
        EarmarkError: there are too many marks.
    """
    if not rows:
        yield
        return
    name = f"{_ATTEMPT}{_hash(rows)}-"
    if len(list((job / _EMBEDDED).glob(f"{name}*"))) >= most:
        raise EarmarkError(
            f"{rows[0]['path']}: {most} workers died while they embedded this and the {len(rows) - 1} "
            "recordings after it; index these without a cluster to find the cause, or give the workers more memory"
        )
    mark = job / _EMBEDDED / f"{name}{uuid4().hex[:8]}"
    mark.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink()


def _read_settings(job: Path) -> IndexSettings:
    document = read_json(job / "job.json", "run the same command again")
    if document["version"] != __version__:
        raise EarmarkError(
            f"{job}: written by earmark {document['version']}, and this worker has {__version__}; install the same "
            "version on all machines"
        )
    return IndexSettings.model_validate(document["settings"])


def _load_encoder(job: Path) -> Encoder:
    path = job / "encoder.onnx"
    status = path.stat()
    return _loaded(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _loaded(path: Path, mtime_ns: int, size: int) -> Encoder:
    """Load an encoder, cached until the file changes: a worker may embed shards of several indexes."""
    del mtime_ns, size
    return load_encoder(path)


def _as_given(message: str, path: Path) -> str:
    """Replace absolute paths in a message of a worker by paths as the caller gave them."""
    whole = str(absolute(path))
    folder = whole.removesuffix(str(path))  # the current folder, if the path is relative
    text = message.replace(whole, str(path)) if folder in ("", whole) else message.replace(folder, "")
    missing = f"{path}: no such file"
    if text.startswith(missing) and path.is_file():
        return f"{missing} on the worker; all machines must see the recordings under the same path"
    return text


def _pyarrow() -> tuple[Any, Any]:
    """Import pyarrow and pyarrow.parquet at their first use, and return both.

    Raises:
        InputError: they are not installed.
    """
    with needs("cluster"):
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet
