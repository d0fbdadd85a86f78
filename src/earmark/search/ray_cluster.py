"""Embed on a cluster: a Ray Data job over the shards of `earmark.search.shards`.

Ray is told which shards there are, and tells where the frames lie; sound and frames go through the file system that
all machines see. So a worker that dies costs its shard's beginning, and a command that dies costs no shard at all.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from earmark.core.audio import AudioWarning
from earmark.core.errors import EarmarkError, InputError
from earmark.search.embedding import Embedded, Failure, Recording
from earmark.search.segments import Segment, open_segment
from earmark.search.settings import IndexSettings
from earmark.search.shards import Answer, embed_shard, stored, write_job

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

LOCAL = "local"
_SURROUNDINGS = {"RAY_USAGE_STATS_ENABLED": "0"}
# Ray listens on all addresses of a machine unless it takes it for one that cannot be part of a cluster, and runs what
# anybody sends it unless they know a word.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}
_OBJECT_STORE_BYTES = 128 * 2**20  # what goes through Ray are names


@dataclass(frozen=True)
class Cluster:
    """Embeds as a Ray Data job.

    Attributes:
        address: `local` for a Ray of this machine alone, begun and ended here; `auto` for the one that this machine
            belongs to; or host:port of the head, where it belongs to several. A Ray that the process is connected with
            already is used.
        workers: recordings that are heard at the same time; None for one a processor.

    Raises:
        InputError: Ray is not installed.
    """

    address: str = LOCAL
    workers: int | None = None

    def __post_init__(self) -> None:
        for package in ("ray", "pyarrow"):
            if find_spec(package) is None:
                raise InputError(f'{package}: not installed; run: pip install "earmark[cluster]"')

    @contextmanager
    def gather(self, place: Path, encoder: Encoder, settings: IndexSettings) -> Iterator[_Job]:
        """As `Crew.gather`; Ray is not called before there is something to embed."""
        job = _Job(self, place, encoder, settings)
        try:
            yield job
        finally:
            job.end()


class _Job:
    """Collects what is to be embedded, has it embedded at the first question, and answers in the order it came."""

    ahead = math.inf

    def __init__(self, cluster: Cluster, place: Path, encoder: Encoder, settings: IndexSettings) -> None:
        self._cluster, self._place, self._encoder, self._settings = cluster, place, encoder, settings
        self._recordings: list[Recording] = []
        self._answers: dict[str, Answer] = {}
        self._running: Iterator[Answer] | None = None
        self._segment: Segment | None = None

    def submit(self, recording: Recording) -> _Due:
        self._recordings.append(recording)
        return _Due(self, recording)

    def answer(self, recording: Recording) -> Embedded | Failure:
        """Wait for a recording."""
        if self._running is None:
            self._running = self._run()
        name = str(recording.path.absolute())
        while name not in self._answers:
            answer = next(self._running, None)
            if answer is None:
                raise EarmarkError(f"{self._cluster.address}: Ray ended without {name}; run the same command again")
            self._answers[answer.path] = answer
        answer = self._answers.pop(name)
        for remark in answer.remarks:
            warnings.warn(_as_here(remark, recording.path), AudioWarning, stacklevel=2)
        if answer.message:
            return Failure(recording.path, _as_here(answer.message, recording.path))
        folder = stored(self._place, answer)
        # Recordings of a shard come one after the other.
        if self._segment is None or self._segment.folder != folder:
            self._segment = open_segment(folder, width=self._encoder.dimension)
        return self._segment.recording(answer.number)

    def end(self) -> None:
        """Let Ray end what is not done yet."""
        self._segment = None
        if self._running is not None:
            self._running.close()  # type: ignore[attr-defined]  # it is a generator

    def _run(self) -> Iterator[Answer]:
        cluster = self._cluster
        with connected(cluster) as ray:
            processors = int(ray.cluster_resources().get("CPU", 1)) or 1
            workers = min(cluster.workers or processors, processors)
            shards = write_job(self._place, self._encoder, self._settings, self._recordings, workers)
            try:
                for rows in _batches(ray, shards, workers):
                    for row in rows:
                        _raise_stopped(row)
                        yield Answer(**{name: row[name] for name in Answer.__dataclass_fields__})
            except ray.exceptions.RayError as error:
                raise EarmarkError(
                    f"{cluster.address}: the Ray job ended ({_reason(error)}); what was embedded is kept; "
                    "run the same command again"
                ) from None


@dataclass(frozen=True)
class _Due:
    """A recording that a job embeds."""

    job: _Job
    recording: Recording

    def result(self) -> Embedded | Failure:
        return self.job.answer(self.recording)


def _batches(ray: Any, shards: Sequence[Path], workers: int) -> Iterator[list[dict[str, Any]]]:
    """What Ray answers of each shard, in any order."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Its last words come as an exception; the rest is for those who look after a cluster, and is in its log files.
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Ray's own reader makes few large tasks of many small files; a shard is to be one task.
    data = ray.data.from_items([{"shard": str(shard)} for shard in shards], override_num_blocks=len(shards))
    data = data.map_batches(_work, batch_size=1, num_cpus=1, concurrency=workers)
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield batch.to_pylist()


def _work(batch: dict[str, Any]) -> Any:
    """What a worker does: embed shards, and tell where the frames are, or why it has to stop."""
    import pyarrow

    rows: list[dict[str, Any]] = []
    for shard in batch["shard"].tolist():
        try:
            rows += [{**vars(answer), "stopped": "", "errno": 0} for answer in embed_shard(Path(shard))]
        except OSError as error:
            # A full disk is told as the disk of the index, which it is.
            told = error.strerror or str(error)
            rows.append({**vars(Answer("")), "stopped": told, "errno": error.errno or errno.EIO})
        except EarmarkError as error:
            rows.append({**vars(Answer("")), "stopped": str(error), "errno": 0})
    return pyarrow.Table.from_pylist(rows)


def _raise_stopped(row: dict[str, Any]) -> None:
    """Stop as the worker stopped."""
    if row["errno"]:
        raise OSError(row["errno"], row["stopped"])
    if row["stopped"]:
        raise EarmarkError(row["stopped"])


def _as_here(message: str, path: Path) -> str:
    """What a worker says of a file, as this machine would: under the name that the caller gave it."""
    told = message if path.is_absolute() else message.replace(str(path.absolute()).removesuffix(str(path)), "")
    if told == f"{path}: no such file" and path.is_file():
        return f"{told} where the worker runs; recordings have to lie where all machines see them, under the same path"
    return told


@contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """Ray, connected with; what was not connected before is not connected after.

    Raises:
        InputError: no Ray answers at the address, or it would listen to other machines where it shall not.
    """
    before = dict(os.environ)
    os.environ |= _SURROUNDINGS | (_ALONE if cluster.address == LOCAL else {})
    try:
        if cluster.address == LOCAL and "ray" in sys.modules and not sys.modules["ray"].is_initialized():
            _check_alone()
        import ray
        import ray.data

        if ray.is_initialized():
            yield ray
        elif cluster.address == LOCAL:
            with _local(ray, cluster.workers):
                yield ray
        else:
            with _remote(ray, cluster.address):
                yield ray
    finally:
        for name in _SURROUNDINGS | _ALONE:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _check_alone() -> None:
    """Refuse a Ray that was imported before it was told to keep to itself: it reads that once."""
    from ray._private import ray_constants

    if getattr(ray_constants, "ENABLE_RAY_CLUSTER", True):
        raise InputError(
            "Ray was imported before, and would listen to other machines; index before it is imported, or connect "
            "with ray.init first"
        )


@contextmanager
def _local(ray: Any, workers: int | None) -> Iterator[None]:
    """A Ray of this machine alone, which listens to nobody else."""
    # Names of sockets are short, so that what a user's own folder is called may be too long.
    home = tempfile.mkdtemp(prefix="earmark-ray-", dir="/tmp" if os.path.isdir("/tmp") else None)
    try:
        ray.init(
            address=LOCAL,
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            _temp_dir=home,
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _remote(ray: Any, address: str) -> Iterator[None]:
    """A Ray that others began."""
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{address}: no Ray answers there ({_reason(error)}); begin one with: ray start --head; "
            f"or name the address {LOCAL}"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """See whether anybody listens: Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"addresses are {LOCAL}, auto, or HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _reason(error: BaseException) -> str:
    """What Ray says, in one line: the last one of the first traceback, which is the worker's."""
    told, *_ = str(error).split("The above exception was the direct cause")
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
