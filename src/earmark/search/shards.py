"""Recordings shared out among workers that see the same files, and the frames that they give back.

Below `cluster/` in the folder of an index:

| file | what |
|---|---|
| `job.json`, `encoder.onnx` | what a worker needs to know: version and settings; the encoder |
| `recordings/000000.parquet` | a shard: a recording a row, `path`, `size`, `mtime_ns`, `stretches` |
| `embedded/<name>/` | the frames of a shard, as a segment; the name follows from what was embedded |

A worker that dies leaves its shard to another; what lies in `embedded/` outlives workers and the command itself.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from earmark import __version__
from earmark.core.audio import AudioWarning
from earmark.core.errors import EarmarkError, InputError
from earmark.models.encoder import Encoder, load_encoder
from earmark.search.embedding import Embedded, Failure, Recording, embed_batch
from earmark.search.segments import Stored, open_segment, write_segment
from earmark.search.settings import IndexSettings
from earmark.search.storage import PARTIAL, as_json, sync_folder

FOLDER = "cluster"
LARGEST_BYTES = 32_000_000  # of sound files in a shard: as much as a dying worker makes another do again
MOST_RECORDINGS = 500  # in a shard
MOST_ATTEMPTS = 10  # workers that may die of one shard before something in it is blamed
_EMBEDDED, _RECORDINGS, _ATTEMPT = "embedded", "recordings", ".attempt-"


@dataclass(frozen=True)
class Answer:
    """What became of a recording.

    Attributes:
        path: of the recording, absolute.
        shard: folder of the segment that holds its frames, below `cluster/embedded/`; empty where there are none.
        number: of the recording in it.
        message: why there are none.
        remarks: warnings about its sound.
    """

    path: str
    shard: str = ""
    number: int = 0
    message: str = ""
    remarks: tuple[str, ...] = ()


def write_job(
    place: Path, encoder: Encoder, settings: IndexSettings, recordings: Sequence[Recording], workers: int
) -> list[Path]:
    """Share recordings out.

    Args:
        place: the index.
        encoder: gives the frames.
        settings: which parts are kept.
        recordings: each file once.
        workers: how many there are; each shall have several shards, so that all are done at about the same time.

    Returns:
        The shards, in the order of the recordings.
    """
    pyarrow, parquet = _pyarrow()
    job = place.absolute() / FOLDER
    (job / _RECORDINGS).mkdir(parents=True, exist_ok=True)
    (job / _EMBEDDED).mkdir(exist_ok=True)
    shutil.copyfile(encoder.path, job / "encoder.onnx")
    (job / "job.json").write_bytes(as_json({"version": __version__, "settings": settings.model_dump()}))
    schema = pyarrow.schema(
        [
            ("path", pyarrow.string()),
            ("size", pyarrow.int64()),
            ("mtime_ns", pyarrow.int64()),
            ("stretches", pyarrow.list_(pyarrow.list_(pyarrow.float64()))),
        ]
    )
    shards = []
    for number, rows in enumerate(_shared_out([_row(recording) for recording in recordings], workers)):
        shards.append(job / _RECORDINGS / f"{number:06d}.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema), shards[-1])
    return shards


def embed_shard(shard: Path) -> list[Answer]:
    """Embed the recordings of a shard; what lies there already is not embedded again.

    Args:
        shard: a Parquet file of `write_job`.

    Returns:
        For each recording, in their order, where its frames lie, or why there are none.

    Raises:
        EarmarkError: another version of earmark shared them out, the shard cannot be read, or workers die of it.
        OSError: what was embedded cannot be written.
    """
    _, parquet = _pyarrow()
    job = shard.parents[1]
    try:
        settings = _settings_of(job)
        # Without `partitioning` a folder called a=b would be taken for a column.
        rows = parquet.read_table(shard, use_threads=False, partitioning=None).to_pylist()
    except FileNotFoundError:
        raise EarmarkError(
            f"{shard}: not there on this worker; index and recordings have to lie where all machines see them, "
            "under the same path"
        ) from None
    known = _answers(job, _name_of(rows))
    rest = [row for row in rows if row["path"] not in known]
    with _attempt(job, rest):
        embedded = [_embedded(_recording(row), _encoder_of(job), settings) for row in rest]
        whole = [found for found, _ in embedded if isinstance(found, Embedded)]
        if whole:
            _keep(job / _EMBEDDED / _name_of(rest), whole)
            known |= _answers(job, _name_of(rest))
    for row, (found, remarks) in zip(rest, embedded, strict=True):
        path = row["path"]
        known[path] = Answer(path, message=found.message) if isinstance(found, Failure) else known[path]
        known[path] = replace(known[path], remarks=remarks)
    return [known[row["path"]] for row in rows]


def stored(place: Path, answer: Answer) -> Path:
    """Where the frames of a recording lie."""
    return place / FOLDER / _EMBEDDED / answer.shard


def left_over(place: Path, width: int) -> dict[str, Stored]:
    """What workers embedded of a job that was not brought to its end: path → frames."""
    found = {}
    for folder in sorted(_finished(place)):
        try:
            segment = open_segment(folder, width=width)
        except (EarmarkError, OSError):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        for number, file in segment.kept_files():
            found[file.path] = Stored(folder, number, file, width)
    return found


def clear_job(place: Path, *, is_done: bool = False) -> None:
    """Delete a job; unless it is done, what workers embedded is kept."""
    job = place / FOLDER
    if is_done:
        shutil.rmtree(job, ignore_errors=True)
        return
    kept = {job / _EMBEDDED, *_finished(place)}
    for path in [*job.glob("*"), *(job / _EMBEDDED).glob("*")]:
        if path.is_dir() and path not in kept:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink(missing_ok=True)


def _finished(place: Path) -> Iterator[Path]:
    """Folders of shards that were written to their end."""
    folder = place / FOLDER / _EMBEDDED
    return (path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))


def _shared_out(rows: Sequence[dict[str, Any]], workers: int) -> Iterator[list[dict[str, Any]]]:
    """Shards of about the same size: several for each worker, none too large to be done again."""
    largest = min(LARGEST_BYTES, sum(row["size"] for row in rows) // (4 * workers))
    shard: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        if shard and (size + row["size"] > largest or len(shard) >= MOST_RECORDINGS):
            yield shard
            shard, size = [], 0
        shard.append(row)
        size += row["size"]
    if shard:
        yield shard


def _row(recording: Recording) -> dict[str, Any]:
    """A recording as it stands in a shard."""
    try:
        about = recording.path.stat()
        size, mtime_ns = about.st_size, about.st_mtime_ns
    except OSError:
        size = mtime_ns = 0  # the worker says what is wrong with it
    path = str(recording.path.absolute())
    return {"path": path, "size": size, "mtime_ns": mtime_ns, "stretches": [list(one) for one in recording.stretches]}


def _embedded(
    recording: Recording, encoder: Encoder, settings: IndexSettings
) -> tuple[Embedded | Failure, tuple[str, ...]]:
    """A recording, embedded, and the warnings about it, which nobody would read on a worker."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (found,) = embed_batch([recording], encoder, settings)
    return found, tuple(str(warning.message) for warning in caught if issubclass(warning.category, AudioWarning))


def _recording(row: dict[str, Any]) -> Recording:
    return Recording(Path(row["path"]), tuple((start, end) for start, end in row["stretches"]))


def _name_of(rows: Sequence[dict[str, Any]]) -> str:
    """A name that the recordings, and no others, have."""
    return hashlib.blake2b(json.dumps(rows, sort_keys=True).encode(), digest_size=12).hexdigest()


def _answers(job: Path, name: str) -> dict[str, Answer]:
    """What lies in a shard's folder: path → where; nothing where there is no such folder."""
    try:
        told: list[dict[str, Any]] = json.loads((job / _EMBEDDED / name / "files.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {file["path"]: Answer(file["path"], name, number) for number, file in enumerate(told)}


def _keep(folder: Path, recordings: Sequence[Embedded]) -> None:
    """Write frames under a name that two workers may both want: one that was thought dead may still be at work."""
    own = folder.with_name(f"{PARTIAL}{folder.name}-{uuid4().hex[:8]}")
    write_segment(own, recordings)
    try:
        own.rename(folder)
    except OSError:
        shutil.rmtree(own, ignore_errors=True)
        if not folder.is_dir():
            raise
    sync_folder(folder.parent)


@contextmanager
def _attempt(job: Path, rows: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Leave a mark while a shard is in work, so that a file which kills every worker does not do so for ever.

    Raises:
        EarmarkError: too many marks are there.
    """
    if not rows:
        yield
        return
    name = f"{_ATTEMPT}{_name_of(rows)}-"
    if len(list((job / _EMBEDDED).glob(f"{name}*"))) >= MOST_ATTEMPTS:
        raise EarmarkError(
            f"{rows[0]['path']}: {MOST_ATTEMPTS} workers died of it or of the {len(rows) - 1} recordings after it; "
            "index them without --ray to see which, or give the workers more memory"
        )
    mark = job / _EMBEDDED / f"{name}{uuid4().hex[:8]}"
    mark.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink()


def _settings_of(job: Path) -> IndexSettings:
    """What the job says that has to be kept of the sound."""
    told = json.loads((job / "job.json").read_bytes())
    if told["version"] != __version__:
        raise EarmarkError(
            f"this worker has earmark {__version__}, and the recordings were shared out by {told['version']}; "
            "install the same on all machines"
        )
    return IndexSettings.model_validate(told["settings"])


def _encoder_of(job: Path) -> Encoder:
    """The job's encoder."""
    path = job / "encoder.onnx"
    about = path.stat()
    return _loaded(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=1)
def _loaded(path: Path, mtime_ns: int, size: int) -> Encoder:
    """The encoder of a file as it is now: a worker embeds many shards, and may outlive the index and see the next."""
    del mtime_ns, size
    return load_encoder(path)


def _pyarrow() -> tuple[Any, Any]:
    """The package and its part for Parquet, imported when they are first needed.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise InputError(f'{error.name}: not installed; run: pip install "earmark[cluster]"') from None
    return pyarrow, parquet
