"""`earmark evaluate search`: measure how well the search in an index finds words."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.index import IndexPath
from earmark.cli.search import Exact, IndexEncoder
from earmark.core.errors import InputError
from earmark.core.progress import follow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from earmark.evaluation.estimates import Estimate
    from earmark.evaluation.protocols.search import Occurrence, QueryResult
    from earmark.evaluation.protocols.search_lists import LabeledQuery
    from earmark.models.encoder import Encoder
    from earmark.search import Index


Queries = Annotated[
    Path,
    typer.Argument(
        metavar="QUERIES", help="A list with lines 'label path', or a manifest (.tsv, .parquet) whose clips are words."
    ),
]
References = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="Where words are said: a manifest of words, or of sentences with their texts; or .ctm, .TextGrid, .json, "
        ".jsonl, a folder of TextGrids.",
    ),
]


@command(
    panel="Archives", example="earmark evaluate search words.tsv --index talks.index --references talks/manifest.tsv"
)
def search(
    queries: Queries,
    references: References,
    index_path: IndexPath = None,
    audio: Annotated[
        Path | None,
        typer.Option(help="Folder of the relative paths in a list; the folder of the list if not given."),
    ] = None,
    takes: Annotated[int, typer.Option(min=1, help="Clips per query.")] = 1,
    encoder: IndexEncoder = None,
    top: Annotated[int, typer.Option(min=10, help="Hits per query.")] = 1000,
    exact: Exact = None,
    tolerance_s: Annotated[
        float,
        typer.Option(
            "--tolerance", metavar="SECONDS", min=0, help="How far the middle of a hit may be outside an occurrence."
        ),
    ] = 0.5,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Results folder; if not given, one in runs/ with the names of the queries and the index.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap over words.")] = 0,
) -> None:
    """Search for every query and measure MAP, P@10, P@R and MTWV; writes table.md and results.json.

    Hits and occurrences in the recording of the query itself do not count. Queries without occurrences in the
    references are left out.
    """
    import numpy as np

    from earmark.cli.search import load_encoder_of
    from earmark.evaluation.protocols import search as protocol
    from earmark.evaluation.protocols.search_lists import read_occurrences, read_queries
    from earmark.search import open_index

    index = open_index(index_path)
    files = [file for segment in index.segments for _, file in segment.kept_files()]
    listed = read_queries(queries, audio, takes=takes)
    occurrences = read_occurrences(references, [file.path for file in files], {query.label for query in listed})
    exact = not index.has_neighbors if exact is None else exact
    results = _search_all(
        listed, occurrences, index, load_encoder_of(index, encoder), top=top, exact=exact, tolerance_s=tolerance_s
    )
    audio_s = sum(file.duration_s for file in files)
    left_out = len(listed) - len(results)
    out = out or Path("runs") / f"search-{queries.stem}-{index.path.stem}"
    facts: dict[str, Any] = {"references": references.name, "takes": takes, "queries": len(results)}
    facts |= {"left_out": left_out, "files": len(files), "audio_s": round(audio_s, 3), "top": top, "exact": exact}
    facts |= {"tolerance_s": tolerance_s, "beta": protocol.BETA, "seed": seed}
    facts["mtwv_threshold"] = protocol.max_term_weighted_value(results, audio_s)[1]
    metrics = protocol.search_metrics(results, audio_s, np.random.default_rng(seed))
    if left_out:
        console.say(f"left out: {left_out} queries without occurrences in the references")
    _report(out, index, queries.name, metrics, results, facts)


def _search_all(
    queries: "Sequence[LabeledQuery]",
    occurrences: "Mapping[str, Sequence[Occurrence]]",
    index: "Index",
    encoder: "Encoder",
    *,
    top: int,
    exact: bool,
    tolerance_s: float,
) -> "list[QueryResult]":
    """Search for the queries whose word occurs in recordings other than their own; returns the results."""
    from earmark.evaluation.protocols.search import match_hits
    from earmark.search import query_from_takes
    from earmark.search import search as find

    names = {os.path.realpath(file.path): file.path for segment in index.segments for file in segment.files}
    results = []
    with console.progress_bar() as progress:
        for listed in follow(queries, "searching", progress):
            own = {names.get(os.path.realpath(take.path), "") for take in listed.takes}
            others = [one for one in occurrences.get(listed.label, ()) if one.file not in own]
            if others:
                query = query_from_takes(listed.label, listed.takes, encoder)
                hits = find(index, query, top=top, exact=exact, without=own)
                results.append(match_hits(hits, others, tolerance_s=tolerance_s, label=listed.label))
    if not results:
        raise InputError(
            "no label of a query is a word of the references; label the queries with words of the references",
            key="references",
        )
    return results


def _report(
    out: Path,
    index: "Index",
    lists: str,
    metrics: "Mapping[str, Estimate]",
    results: "Sequence[QueryResult]",
    facts: dict[str, Any],
) -> None:
    """Print the metrics, and write table.md and results.json."""
    from earmark.core.report import heading, table, write_page, write_results
    from earmark.evaluation.protocols import search as protocol

    words = {
        label: {
            "queries": len(own),
            "occurrences": max(one.occurrences for one in own),
            "map": sum(map(protocol.average_precision, own)) / len(own),
            "precision_at_10": sum(protocol.precision_at(one, 10) for one in own) / len(own),
        }
        for label, own in protocol.by_label(results).items()
    }
    document = {
        **heading(
            "search", ["earmark", *sys.argv[1:]], encoder=(index.encoder.name, index.encoder.fingerprint), lists=lists
        ),
        **facts,
        "numbers": protocol.METRICS,
        "results": {key: asdict(estimate) for key, estimate in metrics.items()},
        "words": words,
    }
    title = (
        f"{len(results)} queries of {len(words)} words, {facts['takes']} take{'s' * (facts['takes'] > 1)} each, in "
        f"{facts['files']} files, {facts['audio_s'] / 3600:.2f} h"
    )
    columns = [f">{name}" for name in protocol.METRICS.values()]
    texts = [_text(metrics[key]) for key in protocol.METRICS]
    rows = [
        [label, f"{row['queries']}", f"{row['occurrences']}", f"{row['map']:.3f}", f"{row['precision_at_10']:.2f}"]
        for label, row in sorted(words.items(), key=lambda item: -item[1]["map"])
    ]
    write_results(out / "results.json", document)
    write_page(
        out / "table.md",
        f"{title}; encoder {index.encoder.name}",
        table(columns, [texts]),
        table(["word", ">queries", ">occurrences", ">MAP", ">P@10"], rows),
    )
    console.print_table([*columns, ">threshold"], [[*texts, f"{facts['mtwv_threshold']:.2f}"]], title)
    console.say(f"wrote {out}")


def _text(estimate: "Estimate") -> str:
    from earmark.core.report import number_text

    return number_text(estimate.value, low=estimate.low, high=estimate.high, percent=False)
