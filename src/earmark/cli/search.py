"""`earmark search`: where a word is said in indexed recordings."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options
from earmark.cli.index import IndexPath
from earmark.cli.options import Exact

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.search import Archive, Hit, Query

EXAMPLE = "Example: [bold]earmark search casa.wav --index recordings.index[/bold]"


def search(
    place: IndexPath,
    takes: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[QUERY.wav...]",
            help="Recordings of the word; several, by several voices, find more.",
            show_default=False,
        ),
    ] = None,
    keyword: Annotated[
        str | None, typer.Option("--keyword", metavar="NAME", help="Search a stored keyword instead of recordings.")
    ] = None,
    store: options.Store = None,
    start_s: Annotated[
        float | None,
        typer.Option("--from", metavar="S", min=0, help="Where the word begins in QUERY.", show_default="found"),
    ] = None,
    end_s: Annotated[
        float | None,
        typer.Option("--to", metavar="S", min=0, help="Where the word ends in QUERY.", show_default="found"),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME|FILE",
            help="The one that made the index, where that is an .onnx file of your own.",
            show_default="that of the index",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="At most so many hits.")] = 10,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Only hits with at least this score.", show_default="none")
    ] = None,
    exact: Exact = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a hit, one a line.")] = False,
    ctm: Annotated[bool, typer.Option("--ctm", help="CTM, one line a hit.")] = False,
    audacity: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write a label track for Audacity for each file with hits."),
    ] = None,
) -> None:
    """Find where a word is said, by recordings of it, best first. The sound itself is not needed any more.

    The score is a cosine: 1 is the same. A hit in the query's own file is shown too.
    """
    from earmark.core.errors import InputError
    from earmark.search import open_archive
    from earmark.search import search as find
    from earmark.search.hits import as_ctm

    if bool(takes) == bool(keyword):
        raise InputError("name recordings of the word, or --keyword NAME, and not both")
    if as_json and ctm:
        raise InputError("--json and --ctm: choose one of them")
    if (start_s is not None or end_s is not None) and (keyword or len(takes or ()) > 1):
        raise InputError("--from and --to say where the word stands in one QUERY.wav; name one")
    archive = open_archive(place)
    if not archive.file_count:
        console.show_warning(f"{place}: holds no recordings; earmark index adds them", UserWarning, "", 0)
    query = _of_keyword(keyword, store) if keyword else _of_takes(takes or (), start_s, end_s, archive, encoder)
    hits = find(archive, query, top=top, threshold=threshold, exact=exact)
    if as_json:
        for hit in hits:
            console.say(json.dumps({"query": query.name, **asdict(hit)}, ensure_ascii=False, allow_nan=False))
    elif ctm:
        console.say(as_ctm(hits, query.name).rstrip("\n")) if hits else None
    else:
        _print(hits, query, archive)
    if audacity is not None:
        _write_labels(audacity, hits, query.name)


def _of_keyword(name: str, store: Path | None) -> "Query":
    from earmark.search import query_of_keyword
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        return query_of_keyword(kept.get(name))


def _of_takes(
    takes: Sequence[Path], start_s: float | None, end_s: float | None, archive: "Archive", encoder: str | None
) -> "Query":
    from earmark.search import Take, query_of

    loaded = load_encoder_of(archive, encoder)
    return query_of(takes[0].stem, [Take(path, start_s, end_s) for path in takes], loaded)


def load_encoder_of(archive: "Archive", name: str | None) -> "Encoder":
    """Load the encoder that made an index.

    Args:
        archive: the index.
        name: what the command line names; None for the name that the index knows.

    Raises:
        InputError: it is another one, or one that does not ship and is not named.
    """
    from earmark.core.errors import InputError
    from earmark.models.encoder import SHIPPED, load_encoder

    made_by = archive.contents.encoder
    if name is None and made_by.name not in SHIPPED:
        raise InputError(f"{archive.path}: was made by your encoder {made_by.name!r}; name its file with --encoder")
    loaded = load_encoder(name or made_by.name)
    if loaded.fingerprint != made_by.fingerprint:
        raise InputError(
            f"{archive.path}: was made by encoder {made_by.name!r} ({made_by.fingerprint[:12]}), and this is "
            f"{loaded.name!r} ({loaded.fingerprint[:12]}); name that one with --encoder, or index anew"
        )
    return loaded


def _print(hits: "Sequence[Hit]", query: "Query", archive: "Archive") -> None:
    title = f"{query.name} ({query.duration_s:.2f} s) in {archive.file_count} files, {archive.hours:.2f} h"
    if not hits:
        console.say(f"{title}: nothing found")
        return
    rows = [
        [str(rank), hit.file, f"{hit.start_s:.2f} s", f"{hit.end_s:.2f} s", f"{hit.score:.3f}"]
        for rank, hit in enumerate(hits, 1)
    ]
    console.print_table([">", "file", ">from", ">to", ">score"], rows, title)


def _write_labels(folder: Path, hits: "Sequence[Hit]", label: str) -> None:
    """A label track for each file; files of one name in several folders get numbers."""
    from earmark.core.errors import writing
    from earmark.search.hits import as_labels

    files = list(dict.fromkeys(hit.file for hit in hits))
    # Names that count already: a-2.txt may be the second a.wav, or the first a-2.wav. Case makes no difference on
    # some disks.
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
            labels = as_labels([hit for hit in hits if hit.file == file], label)
            (folder / f"{name}.txt").write_text(labels, encoding="utf-8")
    sys.stderr.write(f"wrote {len(files)} label track{'s' * (len(files) != 1)} to {folder}\n")
