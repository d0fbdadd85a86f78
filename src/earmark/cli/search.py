"""`earmark search`: find where a word is said in indexed recordings."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options
from earmark.cli.commands import command
from earmark.cli.index import IndexPath
from earmark.cli.settings import options_from

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.search import Hit, Index, Query
    from earmark.search.query import WordSpan
    from earmark.search.searching import HitLimits

IndexEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FILE",
        help="The encoder that made the index; needed only if that is your own .onnx file.",
    ),
]
Exact = Annotated[
    bool | None,
    typer.Option(
        "--exact/--fast",
        help="Score all windows, or only those near FAISS's candidates; if not given, --fast for an index with FAISS.",
    ),
]


@command(panel="Search", example="earmark search casa.wav")
@options_from("earmark.search.query:WordSpan", "word", flags={"start_s": "--from", "end_s": "--to"})
@options_from("earmark.search.searching:HitLimits", "limits")
def search(
    takes: Annotated[
        list[Path] | None,
        typer.Argument(metavar="TAKE.wav", help="Recordings of the word; takes of several speakers find more."),
    ] = None,
    *,
    index_path: IndexPath = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Label of the hits; the file name of the take if not given.")
    ] = None,
    keyword: Annotated[
        str | None, typer.Option(metavar="NAME", help="Search for a stored keyword instead of takes.")
    ] = None,
    store: options.Store = None,
    word: "WordSpan",
    encoder: IndexEncoder = None,
    limits: "HitLimits",
    exact: Exact = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Rank by the index alone, without the verifier and the audio.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each hit as a JSON object, one per line.")] = False,
    ctm: Annotated[bool, typer.Option("--ctm", help="Print CTM, one line per hit.")] = False,
    audacity: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write a label track for Audacity for each file with hits."),
    ] = None,
) -> None:
    """Find where a word is said, given recordings of it; the best hits first.

    The verifier ranks the best 50 hits again where their audio can be read; else the index alone ranks them. The score
    is a cosine: 1 is the best. Hits in the recordings of the takes themselves are shown too.
    """
    from earmark.core.errors import InputError
    from earmark.search import open_index
    from earmark.search.hits import as_ctm

    if bool(takes) == bool(keyword):
        raise InputError("give either recordings of the word or --keyword NAME")
    if as_json and ctm:
        raise InputError("--json and --ctm: choose one of them")
    if word.model_fields_set and (keyword or len(takes or ()) > 1):
        raise InputError("--from and --to are for one recording of the word; give exactly one TAKE.wav")
    index = open_index(index_path)
    if not index.file_count:
        console.show_warning(f"{index.path}: no recordings in it; add some with `earmark index`", UserWarning, "", 0)
    if keyword:
        query = _stored_keyword(keyword, store, name)
    else:
        query = _query(takes or (), word, name, load_encoder_of(index, encoder))
    hits = _find(index, query, limits, exact, verify=not no_verify)
    if as_json:
        for hit in hits:
            known = {key: value for key, value in asdict(hit).items() if value is not None}
            console.say(json.dumps({"query": query.name, **known}, ensure_ascii=False, allow_nan=False))
    elif ctm:
        console.say(as_ctm(hits, query.name).rstrip("\n")) if hits else None
    else:
        _print(hits, query, index)
    if audacity is not None:
        _write_labels(audacity, hits, query.name)


def _find(index: "Index", query: "Query", limits: "HitLimits", exact: bool | None, *, verify: bool) -> "list[Hit]":
    """Search, and rank the best hits again where the verifier is installed."""
    from earmark.models.verifier import shipped_verifier
    from earmark.search import search as find
    from earmark.search.reranking import MOST, rerank

    verifier = shipped_verifier() if verify else None
    wanted = limits.top if verifier is None else max(limits.top, MOST)
    hits = find(index, query, top=wanted, threshold=limits.threshold, exact=exact)
    return hits if verifier is None else rerank(hits, query, verifier)[: limits.top]


def load_encoder_of(index: "Index", name: str | None) -> "Encoder":
    """Load the encoder that made an index.

    Args:
        index: the opened index.
        name: name or file of the encoder; None for the shipped encoder that the index names.

    Raises:
        InputError: the named encoder did not make the index, or the encoder of the index needs a name.
    """
    from earmark.core.errors import InputError
    from earmark.models.encoder import SHIPPED, load_encoder
    from earmark.search.contents import check_encoder

    if name is None and index.encoder.name not in SHIPPED:
        raise InputError(
            f"{index.path} was made by your encoder {index.encoder.name!r}; name its .onnx file", key="encoder"
        )
    loaded = load_encoder(name or index.encoder.name)
    check_encoder(index.path, index.contents, loaded)
    return loaded


def _stored_keyword(keyword: str, store: Path | None, name: str | None) -> "Query":
    from dataclasses import replace

    from earmark.search import query_from_keyword
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as opened:
        query = query_from_keyword(opened.get(keyword))
    return replace(query, name=name or query.name)


def _query(paths: Sequence[Path], word: "WordSpan", name: str | None, encoder: "Encoder") -> "Query":
    from earmark.search import QueryTake, query_from_takes

    name = name or (paths[0].stem if len(paths) == 1 else f"{len(paths)} takes")
    return query_from_takes(name, [QueryTake(path, word.start_s, word.end_s) for path in paths], encoder)


def _print(hits: "Sequence[Hit]", query: "Query", index: "Index") -> None:
    title = f"{query.name} ({query.duration_s:.2f} s) in {index.file_count} files, {index.hours:.2f} h"
    if not hits:
        console.say(f"{title}: nothing found")
        return
    rows = [
        [str(rank), hit.file, f"{hit.start_s:.2f} s", f"{hit.end_s:.2f} s", f"{hit.score:.3f}"]
        for rank, hit in enumerate(hits, 1)
    ]
    console.print_table([">", "file", ">from", ">to", ">score"], rows, title)


def _write_labels(folder: Path, hits: "Sequence[Hit]", label: str) -> None:
    """Write a label track per file; tracks of files with the same name are numbered."""
    from earmark.core.errors import writing
    from earmark.core.files import write_text
    from earmark.search.hits import as_labels

    files = list(dict.fromkeys(hit.file for hit in hits))
    # A numbered name may collide too: a-2 is the second a.wav, or the first a-2.wav. Some disks ignore case.
    taken: set[str] = set()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        stem = name = Path(file).stem
        for number in count(2):
            if name.casefold() not in taken:
                break
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        write_text(folder / f"{name}.txt", as_labels([hit for hit in hits if hit.file == file], label))
    sys.stderr.write(f"wrote {len(files)} label track{'s' * (len(files) != 1)} to {folder}\n")
