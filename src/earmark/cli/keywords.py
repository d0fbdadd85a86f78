"""`earmark keywords`: look after the keywords that are kept."""

from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console, options
from earmark.cli.commands import App
from earmark.cli.takes import whence

app = App(name="keywords", help="List, show, gate, remove, export, import and convert keywords.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="Name of a keyword.", show_default=False)]


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
            keyword.encoder[:12],
            keyword.only_speaker or "anybody",
        ]
        for keyword in found
    ]
    console.print_table(["keyword", ">takes", ">length", ">threshold", "encoder", "answers to"], rows)


@app.command(epilog="Example: [bold]earmark keywords show jarvis[/bold]")
def show(name: _Name, store: options.Store = None) -> None:
    """Show a keyword's takes."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        keyword = kept.get(name)
    console.print_takes(keyword.takes)
    console.say(
        f"{keyword.name}: {keyword.duration_s:.2f} s long, heard from score {keyword.threshold:.2f} on, "
        f"made {keyword.created} with encoder {keyword.encoder[:12]}; answers to {keyword.only_speaker or 'anybody'}"
    )


@app.command(
    epilog="Examples: [bold]earmark keywords gate lights --only-speaker alice[/bold], "
    "[bold]earmark keywords gate lights --anyone[/bold]"
)
def gate(
    name: _Name,
    only_speaker: options.OnlySpeaker = None,
    anyone: Annotated[bool, typer.Option("--anyone", help="Have it answer to every voice again.")] = False,
    store: options.Store = None,
) -> None:
    """Have a keyword answer to one speaker alone, or to anybody again."""
    from earmark.core.errors import InputError
    from earmark.store.store import KeywordStore

    if anyone == (only_speaker is not None):
        raise InputError("say whom the keyword shall answer to: --only-speaker NAME, or --anyone")
    with KeywordStore(store) as kept:
        kept.gate(name, only_speaker)
    console.say(f"{name!r} answers to {only_speaker or 'anybody'}")


@app.command(epilog="Example: [bold]earmark keywords remove jarvis[/bold]")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of keywords.", show_default=False)],
    store: options.Store = None,
) -> None:
    """Forget keywords and their takes; none of them when one of the names is unknown."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        kept.remove(*names)
    for name in dict.fromkeys(names):
        console.say(f"removed {name!r}")


@app.command(epilog="Example: [bold]earmark keywords export home.earmark --keyword jarvis[/bold]")
def export(
    file: Annotated[Path, typer.Argument(help="A new file, named ….earmark.", show_default=False)],
    keyword: Annotated[
        list[str] | None,
        typer.Option("--keyword", metavar="NAME", help="Only this one; may be repeated.", show_default="all"),
    ] = None,
    store: options.Store = None,
) -> None:
    """Write keywords, with their takes, to a file for another machine."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        kept.export_to(file, keyword)
    console.say(f"wrote {file}")


@app.command("import", epilog="Example: [bold]earmark keywords import home.earmark[/bold]")
def import_(
    file: Annotated[Path, typer.Argument(help="What `earmark keywords export` wrote.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace keywords of the same names.")] = False,
    store: options.Store = None,
) -> None:
    """Take keywords over from a file."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        names = kept.import_from(file, replace=replace)
    console.say(f"imported {', '.join(map(repr, names)) or 'nothing'}")


@app.command(epilog="Example: [bold]earmark keywords reembed --encoder tiny[/bold]")
def reembed(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Names of keywords.", show_default="all")
    ] = None,
    store: options.Store = None,
    encoder: options.EncoderName = None,
    false_alarms_per_hour: options.FalseAlarms = None,
) -> None:
    """Convert keywords to another encoder; their takes are heard again."""
    from earmark.models.encoder import load_encoder
    from earmark.spotting.enrollment import reembed as reembed_keyword
    from earmark.store.store import KeywordStore

    loaded = load_encoder(encoder)
    with KeywordStore(store) as kept:
        for name in names or kept.names():
            known = kept.get(name)
            converted = reembed_keyword(known, loaded, false_alarms_per_hour=false_alarms_per_hour)
            kept.save(converted, replace=known)
            console.say(
                f"converted {converted.name!r} to {loaded.name}: heard from score {converted.threshold:.2f} on"
                f"{whence(known, converted.encoder, false_alarms_per_hour)}"
            )
