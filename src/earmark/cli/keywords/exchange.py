"""`earmark keywords export`, `import`, `reembed`: keywords of another machine and of another encoder."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from earmark.cli import console, enrolled, options
from earmark.cli.commands import command


@command(panel="Files and encoders", example="earmark keywords export home.earmark --keyword jarvis")
def export(
    file: Annotated[Path, typer.Argument(help="A new file, named ….earmark.")],
    keyword: Annotated[
        list[str] | None,
        typer.Option("--keyword", metavar="NAME", help="Only this keyword, all if not given; may be repeated."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    with_negatives: Annotated[
        bool, typer.Option("--with-negatives", help="Export negatives too: recordings of your room.")
    ] = False,
    with_near_misses: Annotated[bool, typer.Option("--with-near-misses", help="Export near misses too.")] = False,
    store: options.Store = None,
) -> None:
    """Write keywords, with their takes, to a file for another machine."""
    from earmark.core.errors import InputError
    from earmark.store.store import SUFFIX, ExportExists, KeywordStore

    with KeywordStore(store) as kept:
        if file.suffix != SUFFIX and str(file) in kept.names():
            command = f"earmark keywords export {quote(f'{file}{SUFFIX}')} --keyword {quote(str(file))}"
            raise InputError(f"{file}: a keyword, not a file to write; run: {command}")
        try:
            kept.export_to(
                file, keyword, replace=force, with_negatives=with_negatives, with_near_misses=with_near_misses
            )
        except ExportExists:
            raise InputError(f"{file}: the file exists; replace it with --force, or name another file") from None
    console.say(f"wrote {file}")


@command(
    "import",
    panel="Files and encoders",
    example="earmark keywords import home.earmark\nearmark keywords import theirs.earmark --as 'their jarvis'",
)
def import_(
    file: Annotated[Path, typer.Argument(help="A file of `earmark keywords export`, or a store.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace keywords and speakers of the same names.")
    ] = False,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="New name of the keyword, if the file has just one.")
    ] = None,
    store: options.Store = None,
) -> None:
    """Import the keywords of a file, with their takes and speakers."""
    from earmark.core.errors import InputError
    from earmark.store.store import KeywordStore, NameTaken

    with KeywordStore(store) as kept:
        try:
            names = kept.import_from(file, replace, name=name)
        except NameTaken as error:
            problem = str(error).partition(";")[0]
            raise InputError(f"{problem}; replace it with --replace, or import under another name with --as") from None
    console.say(f"imported {', '.join(map(repr, names)) or 'nothing'}")


@command(panel="Files and encoders", example="earmark keywords reembed --encoder mine.onnx")
def reembed(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Names of keywords; all if not given.")
    ] = None,
    store: options.Store = None,
    encoder: options.EncoderName = None,
    false_alarms_per_hour: options.FalseAlarms = None,
) -> None:
    """Convert keywords to another encoder: embed their takes again."""
    from earmark.models.encoder import load_encoder
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        loaded = load_encoder(encoder)
        enrolled.reembed(enrolled.keyword_kind(kept), names, loaded, false_alarms_per_hour)
        enrolled.remember_encoder(kept, loaded)
