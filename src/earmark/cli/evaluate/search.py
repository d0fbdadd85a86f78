"""`earmark evaluate search`: do the places come first where the word is said?"""

import math
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.index import IndexPath
from earmark.cli.options import Exact
from earmark.core.errors import InputError
from earmark.core.progress import follow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from earmark.evaluation.protocols.open_set import Estimate
    from earmark.evaluation.protocols.search import Judged, Place
    from earmark.evaluation.protocols.search_lists import QueryTakes
    from earmark.models.encoder import Encoder
    from earmark.search import Archive

EXAMPLE = "Example: [bold]earmark evaluate search words.tsv --index talks.index --references talks/manifest.tsv[/bold]"


def search(
    queries: Annotated[
        Path,
        typer.Argument(
            metavar="QUERIES",
            help="A list, one 'label path' a line, or a manifest (.tsv, .parquet) whose clips are words.",
            show_default=False,
        ),
    ],
    place: IndexPath,
    references: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Where words are said: a manifest of words or of sentences with their texts, or .ctm, .TextGrid, "
            ".json, .jsonl, a folder of TextGrids.",
            show_default=False,
        ),
    ],
    audio: Annotated[
        Path | None, typer.Option(help="Folder that the paths in a list start from.", show_default="the list's folder")
    ] = None,
    takes: Annotated[int, typer.Option(min=1, help="How many clips of a word make a query.")] = 1,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="NAME|FILE", help="The one that made the index.", show_default="its name"),
    ] = None,
    top: Annotated[int, typer.Option(min=10, help="Hits of each query that are judged.")] = 1000,
    exact: Exact = None,
    tolerance_s: Annotated[
        float, typer.Option("--tolerance", min=0, help="How far outside a place the middle of a hit may lie, in s.")
    ] = 0.5,
    out: Annotated[
        Path | None, typer.Option(help="Results folder.", show_default="runs/search-<queries>-<index>")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap over words.")] = 0,
) -> None:
    """Search every query and measure MAP, P@10, P@R and MTWV; writes table.md and results.json.

    A query's own recording is left out of its hits, and its places there do not count. Words that are said nowhere in
    the references are left out.
    """
    import numpy as np

    from earmark.cli.search import load_encoder_of
    from earmark.evaluation.protocols import search as numbers
    from earmark.evaluation.protocols.search_lists import read_places, read_queries
    from earmark.search import open_archive

    archive = open_archive(place)
    files = [file for segment in archive.segments for _, file in segment.kept_files()]
    listed = read_queries(queries, audio, takes=takes)
    places = read_places(references, [file.path for file in files], {query.label for query in listed})
    judged = _judged(
        listed, places, archive, load_encoder_of(archive, encoder), top=top, exact=exact, tolerance_s=tolerance_s
    )
    sound_s = sum(file.duration_s for file in files)
    measured = numbers.measure(judged, sound_s, np.random.default_rng(seed))
    threshold = numbers.max_term_weighted_value(judged, sound_s)[1]
    title = (
        f"{len(judged)} queries of {len(numbers.by_label(judged))} words, {takes} take{'s' * (takes > 1)} each, in "
        f"{len(files)} files, {sound_s / 3600:.2f} h"
    )
    left_out = len(listed) - len(judged)
    out = out or Path("runs") / f"search-{queries.stem}-{place.stem}"
    out.mkdir(parents=True, exist_ok=True)
    about = {
        "references": references.name,
        "takes": takes,
        "queries": len(judged),
        "left_out": left_out,
        "files": len(files),
        "sound_s": round(sound_s, 3),
        "top": top,
        "exact": not archive.has_neighbors if exact is None else exact,
        "tolerance_s": tolerance_s,
        "beta": numbers.BETA,
        "mtwv_threshold": threshold,
        "seed": seed,
    }
    _write(out, archive, queries, measured, judged, about, title)
    if left_out:
        console.say(f"left out: {left_out} queries whose word is said nowhere in the references")
    console.print_table(
        [*(f">{head}" for head in numbers.NUMBERS.values()), ">threshold"],
        [[*(_text(measured[key]) for key in numbers.NUMBERS), f"{threshold:.2f}"]],
        title,
    )
    console.say(f"wrote {out}")


def _judged(
    listed: "Sequence[QueryTakes]",
    places: "Mapping[str, Sequence[Place]]",
    archive: "Archive",
    encoder: "Encoder",
    *,
    top: int,
    exact: bool | None,
    tolerance_s: float,
) -> "list[Judged]":
    """The hits of each query whose word is said in other recordings than its own."""
    from earmark.evaluation.protocols.search import judge
    from earmark.search import query_of
    from earmark.search import search as find

    names = {os.path.realpath(file.path): file.path for segment in archive.segments for file in segment.files}
    judged = []
    with console.progress_bar() as progress:
        for query in follow(listed, "searching", progress):
            own = {names.get(os.path.realpath(take.path), "") for take in query.takes}
            elsewhere = [place for place in places.get(query.label, ()) if place.file not in own]
            if elsewhere:
                found = find(archive, query_of(query.label, query.takes, encoder), top=top, exact=exact, without=own)
                judged.append(judge(found, elsewhere, tolerance_s=tolerance_s, label=query.label))
    if not judged:
        raise InputError("none of the queries' words is said in the references; are the labels the transcripts' words?")
    return judged


def _write(
    out: Path,
    archive: "Archive",
    queries: Path,
    measured: "Mapping[str, Estimate]",
    judged: "Sequence[Judged]",
    about: "dict[str, object]",
    title: str,
) -> None:
    from earmark.evaluation.protocols import search as numbers
    from earmark.evaluation.reports.spotting import heading, table_row, write_document

    made_by = archive.contents.encoder
    words = {
        label: {
            "queries": len(own),
            "places": max(one.places for one in own),
            "map": sum(map(numbers.average_precision, own)) / len(own),
            "precision_at_10": sum(numbers.precision_at(one, 10) for one in own) / len(own),
        }
        for label, own in numbers.by_label(judged).items()
    }
    document = {
        **heading("search", ["earmark", *sys.argv[1:]], made_by.name, made_by.fingerprint, queries.name),
        **about,
        "numbers": numbers.NUMBERS,
        "results": {key: asdict(estimate) for key, estimate in measured.items()},
        "words": words,
    }
    write_document(out / "results.json", document)
    lines = [
        f"{title}; encoder {made_by.name}",
        "",
        table_row(list(numbers.NUMBERS.values())),
        table_row(["---:"] * len(numbers.NUMBERS)),
        table_row([_text(measured[key]) for key in numbers.NUMBERS]),
        "",
        table_row(["word", "queries", "places", "MAP", "P@10"]),
        table_row(["---", *["---:"] * 4]),
    ]
    for label, row in sorted(words.items(), key=lambda item: -item[1]["map"]):
        cells = [f"{row['queries']}", f"{row['places']}", f"{row['map']:.3f}", f"{row['precision_at_10']:.2f}"]
        lines.append(table_row([label, *cells]))
    (out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text(estimate: "Estimate") -> str:
    """A number and its interval, with three decimals."""
    interval = "" if math.isnan(estimate.low) else f" ({estimate.low:.3f}–{estimate.high:.3f})"
    return f"{estimate.value:.3f}{interval}"
