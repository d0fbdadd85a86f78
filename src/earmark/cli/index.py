"""`earmark index`: make recordings searchable."""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.settings import options_from

if TYPE_CHECKING:
    from earmark.search import IndexReport, IndexSettings, Recording

MANIFESTS = (".tsv", ".parquet")

IndexPath = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="FOLDER",
        envvar="EARMARK_INDEX",
        help="Folder of the index; recordings.index in your data folder if not given.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Recordings that are embedded at the same time; one per processor if not given."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Embed on a Ray cluster: auto or host:port of the cluster that this machine belongs to; or local, for "
        "workers on this machine.",
    ),
]


@command(
    panel="Search",
    example="earmark index recordings/\nearmark index /shared/part-*.parquet --index /shared/all.index --ray auto",
)
@options_from(
    "earmark.search.settings:IndexSettings",
    without=["window_lengths_s", "window_hop", "code_bytes"],
    panel="Settings of a new index",
)
def index(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|FILE|MANIFEST...",
            help="Recordings: folders with all folders below, audio files, manifests (.tsv, .parquet).",
        ),
    ],
    settings: "IndexSettings",
    index_path: IndexPath = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME|FILE",
            help="Name of a shipped encoder, or your own .onnx file; that of the index, or base, if not given.",
        ),
    ] = None,
    threads: Threads = None,
    ray: Ray = None,
) -> None:
    """Make recordings searchable, or update an index.

    Run the command again after recordings were added, changed, moved or removed: only new audio is embedded. You can
    stop it at any time; the same command continues. A recording that cannot be read is reported and skipped.
    """
    from earmark.core.errors import InputError
    from earmark.models.encoder import load_encoder
    from earmark.search import update_index
    from earmark.search.contents import default_path
    from earmark.search.executors import Executor, ThreadExecutor
    from earmark.search.ray_cluster import RayExecutor

    if not any(source.exists() for source in sources):  # missing ones among several are reported and skipped
        raise InputError(f"{sources[0]}: no such file or folder; name recordings, folders of them, or manifests")
    recordings = [recording for source in sources for recording in _recordings(source)]
    path = index_path or default_path()
    executor: Executor = RayExecutor(ray, threads) if ray else ThreadExecutor(threads or _processors())
    start = time.monotonic()
    # Ray prints messages about dead workers to stdout, which is for results.
    with redirect_stdout(StringIO()) if ray else nullcontext(), console.progress_bar() as progress:
        report = update_index(
            path,
            recordings,
            load_encoder(encoder or _shipped_encoder(path)),
            settings=_settings(path, settings),
            folders=[source for source in sources if source.is_dir()],
            executor=executor,
            progress=progress,
        )
    _print_report(report, time.monotonic() - start, path)
    raise typer.Exit(2 if report.failures else 0)


def _processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _recordings(source: Path) -> "Sequence[Recording]":
    """List the recordings to index of a folder, an audio file or a manifest."""
    from earmark.data.corpora.folder import recordings_in
    from earmark.data.manifest import read_manifest
    from earmark.search import Recording

    if source.is_dir():
        return [Recording(path) for path in recordings_in(source)]
    if source.suffix.lower() not in MANIFESTS:
        return [Recording(source)]
    manifest = read_manifest(source)
    return [
        Recording(
            manifest.locate(clip),
            () if clip.end_s is None and not clip.start_s else ((clip.start_s, clip.end_s or 1e9),),
        )
        for clip in manifest
    ]


def _shipped_encoder(path: Path) -> str | None:
    """Name the shipped encoder that made an index; None if there is no index, or another encoder made it."""
    from earmark.models.encoder import SHIPPED
    from earmark.search.contents import has_contents, read_contents

    name = read_contents(path).encoder.name if has_contents(path) else None
    return name if name in SHIPPED else None


def _settings(path: Path, given: "IndexSettings") -> "IndexSettings":
    """Return the settings of an existing index, changed by the given ones; for a new index, the given settings."""
    from earmark.search.contents import has_contents, read_contents

    if not has_contents(path):
        return given
    return read_contents(path).settings.model_copy(update=given.model_dump(exclude_unset=True))


def _print_report(report: "IndexReport", seconds: float, path: Path) -> None:
    """Print the failures, the number of files by outcome, and the size of the index."""
    from earmark.core.errors import InputError
    from earmark.search import open_index

    for failure in report.failures:
        console.report(InputError(failure.message))
    speed = f" in {seconds:.0f} s, {report.embedded_s / max(seconds, 1e-3):.0f} × real time" if report.embedded else ""
    parts = [f"indexed {report.embedded} file{'s' * (report.embedded != 1)}, {report.embedded_s / 3600:.2f} h{speed}"]
    counts = {
        "moved or touched": report.copied,
        "unchanged": report.unchanged,
        "dropped": report.dropped,
        "failed": len(report.failures),
    }
    console.say("; ".join([*parts, *(f"{count} {what}" for what, count in counts.items() if count)]))
    index = open_index(path)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    console.say(
        f"{path}: {index.file_count} files, {index.hours:.2f} h of active audio, {size / 1e6:.1f} MB"
        f"{', searched through FAISS' if index.has_neighbors else ''}"
    )
