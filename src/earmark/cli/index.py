"""`earmark index`: make recordings searchable."""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from enum import StrEnum
from io import StringIO
from itertools import count as counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console

if TYPE_CHECKING:
    from earmark.search import IndexSettings, Recording
    from earmark.search.indexing import Report

EXAMPLE = (
    "Example: [bold]earmark index recordings/ --index recordings.index[/bold]\n\n"
    "On a cluster: [bold]earmark index /shared/part-*.parquet --index /shared/all.index --ray auto[/bold]"
)
MANIFESTS = (".tsv", ".parquet")

IndexPath = Annotated[
    Path, typer.Option("--index", metavar="PATH", help="Folder that keeps the index.", show_default=False)
]


class Gate(StrEnum):
    """What is left out of an index."""

    energy = "energy"
    none = "none"


def index(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|FILE|MANIFEST...",
            help="Recordings: folders and what lies below them, sound files, manifests (.tsv, .parquet).",
            show_default=False,
        ),
    ],
    place: IndexPath,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME|FILE",
            help="base, tiny, or an .onnx file of your own.",
            show_default="that of the index, else base",
        ),
    ] = None,
    gate: Annotated[
        Gate | None,
        typer.Option(
            help="Leave out what does not stand above the noise (energy), or nothing; for a new index.",
            show_default="energy",
        ),
    ] = None,
    neighbors_from: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            min=0,
            help="Search through FAISS from so many hours on; for a new index.",
            show_default="10",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Recordings heard at the same time.", show_default="one a processor")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Have the workers of a Ray cluster hear them: auto or host:port, of the cluster that this machine "
            "belongs to; local, workers on this machine.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make recordings searchable, or add to an index.

    Run it again after recordings were added, changed or removed: only what is new is heard. It may be stopped at any
    time; the same command again goes on from there. A recording that cannot be read is reported, and the others are
    indexed all the same.
    """
    from earmark.core.errors import InputError
    from earmark.models.encoder import load_encoder
    from earmark.search import open_archive, update
    from earmark.search.executors import Threads
    from earmark.search.ray_cluster import Cluster

    if not any(source.exists() for source in sources):  # of several, those that are there are indexed
        raise InputError(f"{sources[0]}: no such file or folder")
    recordings = [recording for source in sources for recording in _recordings(source)]
    begun = time.monotonic()
    heard_s = 0.0
    crew = Cluster(ray, threads) if ray else Threads(threads or _processors())
    # Of workers that died, and whose work others took over, Ray tells on stdout, where our results are to stand.
    with redirect_stdout(StringIO()) if ray else nullcontext(), console.progress_bar() as progress:
        finished = counter(1)
        progress("indexing", 0, len(recordings))

        def seen(path: Path, duration_s: float) -> None:
            nonlocal heard_s
            heard_s += duration_s
            speed = heard_s / max(1e-3, time.monotonic() - begun)
            stage = f"indexing ({speed:.0f} × real time, {path.name[-30:]})"
            progress(stage, next(finished), len(recordings))

        report = update(
            place,
            recordings,
            load_encoder(encoder or _own_encoder(place)),
            settings=_settings(place, gate, neighbors_from),
            folders=[source for source in sources if source.is_dir()],
            crew=crew,
            progress=seen,
        )
    for failure in report.failures:
        console.report(InputError(failure.message))
    console.say(_told(report, time.monotonic() - begun))
    archive = open_archive(place)
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    console.say(
        f"{place}: {archive.file_count} files, {archive.hours:.2f} h of sections, {size / 1e6:.1f} MB"
        f"{', searched through FAISS' if archive.has_neighbors else ''}"
    )
    raise typer.Exit(2 if report.failures else 0)


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _recordings(source: Path) -> "Sequence[Recording]":
    """The recordings that a word of the command line names."""
    from earmark.core.errors import InputError
    from earmark.data.corpora.folder import SOUND_SUFFIXES
    from earmark.data.manifest import read_manifest
    from earmark.search import Recording

    if source.is_dir():
        found = sorted(
            path
            for path in source.rglob("*")
            # macOS leaves "._name.wav" files, which hold no sound.
            if path.suffix.lower() in SOUND_SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        if not found:
            raise InputError(f"{source}: no recordings in it; they end in {', '.join(sorted(SOUND_SUFFIXES))}")
        return [Recording(path) for path in found]
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


def _own_encoder(place: Path) -> str | None:
    """The shipped encoder that made the index, where one did."""
    from earmark.models.encoder import SHIPPED
    from earmark.search.contents import NAME, read_contents

    if not (place / NAME).is_file():
        return None
    name = read_contents(place).encoder.name
    return name if name in SHIPPED else None


def _settings(place: Path, gate: Gate | None, neighbors_from: float | None) -> "IndexSettings | None":
    """The settings that the command line names; None where it names none."""
    from earmark.search import IndexSettings
    from earmark.search.contents import NAME, read_contents

    given = {
        name: value
        for name, value in {"gate": gate and gate.value, "neighbors_from_h": neighbors_from}.items()
        if value is not None
    }
    if not given:
        return None
    known = read_contents(place).settings.model_dump() if (place / NAME).is_file() else {}
    return IndexSettings(**{**known, **given})


def _told(report: "Report", seconds: float) -> str:
    """What was done, in words."""
    speed = f" in {seconds:.0f} s, {report.embedded_s / max(seconds, 1e-3):.0f} × real time" if report.embedded else ""
    parts = [f"indexed {report.embedded} files, {report.embedded_s / 3600:.2f} h{speed}"]
    for count, what in (
        (report.copied, "moved or touched"),
        (report.unchanged, "unchanged"),
        (report.forgotten, "gone"),
        (len(report.failures), "refused"),
    ):
        if count:
            parts.append(f"{count} {what}")
    return "; ".join(parts)
