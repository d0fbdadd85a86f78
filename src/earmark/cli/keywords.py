"""`earmark keywords`: manage the stored keywords."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from earmark.cli import console, enrolled, options
from earmark.cli.commands import App

app = App(
    name="keywords",
    panel="Keywords and voices",
    help="List, show, restrict, remove, export, import and convert keywords.",
)

_Name = Annotated[str, typer.Argument(help="Name of a keyword.")]


@app.command("list", epilog="Example: [bold]earmark keywords list[/bold]")
def list_(store: options.Store = None) -> None:
    """List all keywords."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        found = kept.all()
        if not found:
            console.say(f"{kept.path}: no keywords yet; make one: earmark enroll NAME FILE...")
            return
    rows = [
        [
            keyword.name,
            str(len(keyword.takes)),
            f"{keyword.duration_s:.2f} s",
            f"{keyword.threshold:.2f}",
            "unknown" if keyword.rate is None else f"{keyword.rate:g} per hour",
            enrolled.encoder_label(keyword.encoder),
            keyword.only_speaker or "any",
        ]
        for keyword in found
    ]
    columns = ["keyword", ">takes", ">length", ">threshold", ">false alarms", "encoder", "speaker"]
    console.print_table(columns, rows)


@app.command(epilog="Example: [bold]earmark keywords show jarvis[/bold]")
def show(name: _Name, store: options.Store = None) -> None:
    """Show a keyword and its takes."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        keyword = kept.get(name)
    enrolled.print_takes(keyword.takes)
    console.say(
        f"{keyword.name}: {keyword.duration_s:.2f} s long, detected at score {keyword.threshold:.2f}, made "
        f"{keyword.created} with encoder {enrolled.encoder_label(keyword.encoder)}; "
        f"speaker: {keyword.only_speaker or 'any'}"
    )


@app.command(
    epilog="Examples: [bold]earmark keywords restrict lights --only-speaker alice[/bold], "
    "[bold]earmark keywords restrict lights --any-speaker[/bold]"
)
def restrict(
    name: _Name,
    only_speaker: options.OnlySpeaker = None,
    any_speaker: Annotated[bool, typer.Option("--any-speaker", help="Lift the restriction.")] = False,
    store: options.Store = None,
) -> None:
    """Restrict a keyword to one speaker, or lift the restriction."""
    from earmark.core.errors import InputError
    from earmark.store.store import KeywordStore

    if any_speaker == (only_speaker is not None):
        raise InputError("give either --only-speaker NAME or --any-speaker")
    with KeywordStore(store) as kept:
        kept.restrict(name, only_speaker)
    console.say(f"{name!r}: {f'only speaker {only_speaker!r}' if only_speaker else 'any speaker'}")


@app.command(epilog="Example: [bold]earmark keywords remove jarvis[/bold]")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of keywords.")],
    store: options.Store = None,
) -> None:
    """Remove keywords and their takes. If one name is unknown, none is removed."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        enrolled.remove(enrolled.keyword_kind(kept), names)


@app.command(epilog="Example: [bold]earmark keywords export home.earmark --keyword jarvis[/bold]")
def export(
    file: Annotated[Path, typer.Argument(help="A new file, named ….earmark.")],
    keyword: Annotated[
        list[str] | None,
        typer.Option("--keyword", metavar="NAME", help="Only this keyword, all if not given; may be repeated."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
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
            kept.export_to(file, keyword, replace=force)
        except ExportExists:
            raise InputError(f"{file}: the file exists; replace it with --force, or name another file") from None
    console.say(f"wrote {file}")


@app.command(
    "import",
    epilog="Examples: [bold]earmark keywords import home.earmark[/bold], "
    "[bold]earmark keywords import theirs.earmark --as 'their jarvis'[/bold]",
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


@app.command(epilog="Example: [bold]earmark keywords reembed --encoder tiny[/bold]")
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
        enrolled.reembed(enrolled.keyword_kind(kept), names, load_encoder(encoder), false_alarms_per_hour)
