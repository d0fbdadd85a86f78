"""Embed recordings on a Ray cluster: a Ray Data job over the shards of `earmark.search.shards`.

Ray passes the names of shards and results; audio and frames go through the file system that all machines share. If
a worker dies, at most its shard is embedded again; if the command is killed, finished shards are kept.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from earmark.core.errors import EarmarkError, InputError, MissingPackage
from earmark.search.embedding import EmbeddedRecording, Failure, Recording
from earmark.search.settings import IndexSettings
from earmark.search.shards import ShardResult, embed_in_shards, embed_shard

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

LOCAL = "local"
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0"}
# Ray listens on all addresses unless clusters are disabled, and without a token it executes what anyone sends.
_LOCAL_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": token_hex(32),
}
_OBJECT_STORE_BYTES = 128 * 2**20  # only names pass through Ray


@dataclass(frozen=True)
class RayExecutor:
    """Embeds recordings as a Ray Data job.

    Attributes:
        address: `local` starts and stops a Ray on this machine; `auto` is the cluster that this machine belongs to;
            host:port is the head of a cluster, if there are several. An existing connection of this process is used.
        workers: recordings that are embedded at the same time; None for one per processor.

    Raises:
        InputError: Ray is not installed.
    """

    address: str = LOCAL
    workers: int | None = None

    def __post_init__(self) -> None:
        for package in ("ray", "pyarrow"):
            if find_spec(package) is None:
                raise MissingPackage(package, extra="cluster")

    def embed(
        self, recordings: Sequence[Recording], encoder: Encoder, settings: IndexSettings, index: Path
    ) -> Generator[EmbeddedRecording | Failure, None, None]:
        """Yield the result of each recording, as `Executor.embed` does; without recordings, Ray does not start."""
        if not recordings:
            return
        with connected(self) as ray:
            processors = int(ray.cluster_resources().get("CPU", 1)) or 1
            workers = min(self.workers or processors, processors)
            run = partial(_run, ray, self.address, workers)
            yield from embed_in_shards(recordings, encoder, settings, index, workers=workers, run=run)


@contextmanager
def connected(executor: RayExecutor) -> Iterator[Any]:
    """Connect with Ray, and yield the module `ray`; an existing connection is used and kept.

    Raises:
        InputError: no Ray answers at the address, or a local Ray would accept connections from other machines.
    """
    before = dict(os.environ)
    os.environ |= _ENVIRONMENT | (_LOCAL_ENVIRONMENT if executor.address == LOCAL else {})
    try:
        if executor.address == LOCAL and "ray" in sys.modules and not sys.modules["ray"].is_initialized():
            _check_local_only()
        import ray
        import ray.data

        if ray.is_initialized():
            yield ray
        elif executor.address == LOCAL:
            with _local(ray, executor.workers):
                yield ray
        else:
            with _remote(ray, executor.address):
                yield ray
    finally:
        for name in _ENVIRONMENT | _LOCAL_ENVIRONMENT:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _run(ray: Any, address: str, workers: int, shards: Sequence[Path]) -> Iterator[ShardResult]:
    """Embed shards as a Ray Data job; yields the results of finished shards, in any order."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Errors arrive as exceptions; details are in the log files of the cluster.
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # One block, and so one task, per shard; Ray's own reader would merge small files.
    data = ray.data.from_items([{"shard": str(shard)} for shard in shards], override_num_blocks=len(shards))
    data = data.map_batches(_embed_shards, batch_size=1, num_cpus=1, concurrency=workers)
    try:
        for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in batch.to_pylist():
                if error := row.pop("error"):
                    raise EarmarkError(error)
                yield ShardResult(**row)
    except ray.exceptions.RayError as error:
        raise EarmarkError(
            f"{address}: the Ray job ended ({_reason(error)}); finished shards are kept; run the same command again"
        ) from None


def _embed_shards(batch: dict[str, Any]) -> Any:
    """Embed the shards of a batch on a worker; returns a table with a row per recording, or per shard that failed."""
    import pyarrow

    rows: list[dict[str, Any]] = []
    for shard in batch["shard"].tolist():
        try:
            rows += [{**vars(result), "error": ""} for result in embed_shard(Path(shard))]
        except (EarmarkError, OSError) as error:
            rows.append({**vars(ShardResult("")), "error": str(error)})
    return pyarrow.Table.from_pylist(rows)


def _check_local_only() -> None:
    """Raise an error if Ray was imported before its environment variables were set: it reads them at import."""
    from ray._private import ray_constants

    if getattr(ray_constants, "ENABLE_RAY_CLUSTER", True):
        raise InputError(
            "ray: was imported too early, so that it would accept connections from other machines; do not import ray "
            "before indexing, or connect with ray.init first"
        )


@contextmanager
def _local(ray: Any, workers: int | None) -> Iterator[None]:
    """Run a Ray that only this machine can reach during the block, then stop it."""
    # In /tmp: the length of socket paths is limited, and the user's temporary folder may have a longer path.
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
    """Connect with a running Ray during the block, then disconnect."""
    try:
        _check_reachable(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{address}: no Ray answers there ({_reason(error)}); start one with: ray start --head; "
            f"or use the address {LOCAL}"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise an error if no server answers at the address within seconds; Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"addresses are {LOCAL}, auto, or HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _reason(error: BaseException) -> str:
    """Return an error of Ray in one line: the last line of the first traceback, which comes from the worker."""
    first, *_ = str(error).split("The above exception was the direct cause")
    lines = [line.strip() for line in first.splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
