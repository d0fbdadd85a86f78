"""Write the results of an evaluation into a folder."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console
from earmark.core.errors import writing

if TYPE_CHECKING:
    from earmark.evaluation.embedders import Embedder
    from earmark.evaluation.segment_embeddings import SegmentEmbedder

OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Results folder; if not given, one in runs/ with the names of the lists and the encoder."
    ),
]


def results_folder(out: Path | None, *names: str) -> Path:
    """Create the results folder of an evaluation, and return its path.

    Args:
        out: the folder that the user named, or None.
        names: parts of the name of a new folder in runs/, for the case that `out` is None.
    """
    folder = out or Path("runs") / "-".join(names)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_report(
    folder: Path, kind: str, markdown: str, document: Mapping[str, Any], *, encoder: tuple[str, str], lists: str
) -> None:
    """Write table.md and results.json of an evaluation into its results folder.

    Args:
        folder: the results folder.
        kind: kind of evaluation.
        markdown: content of table.md.
        document: results, and settings that they depend on.
        encoder: name and fingerprint of the encoder.
        lists: name of the lists or the manifest.
    """
    from earmark.core.files import write_text
    from earmark.core.report import heading, write_results

    write_text(folder / "table.md", markdown)
    head = heading(kind, ["earmark", *sys.argv[1:]], encoder=encoder, lists=lists)
    write_results(folder / "results.json", {**head, **document})


def identity(embedder: "Embedder | SegmentEmbedder") -> tuple[str, str]:
    """Return name and fingerprint of an encoder, as `write_report` takes them."""
    return embedder.name, embedder.fingerprint


def print_results(columns: Iterable[str], rows: Iterable[Sequence[str]], title: str, folder: Path) -> None:
    """Print the table of results, and the folder that holds the files."""
    console.print_table(columns, rows, title)
    console.say(f"wrote {folder}")
