"""`earmark keywords near-misses`: near misses of a keyword for review."""

from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console, options
from earmark.cli.commands import command


@command(
    panel="Corrections",
    example="earmark keywords near-misses jarvis\nearmark keywords near-misses jarvis --export review/",
)
def near_misses(
    name: options.KeywordName,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Write each near miss to a WAV file in this folder.")
    ] = None,
    store: options.Store = None,
) -> None:
    """List what came close to a keyword in your room, as `earmark tune` found it.

    Mark one with `earmark keywords mark-false NAME --near-miss NUMBER`, or `mark-missed` if it is the word.
    """
    from shlex import quote

    from earmark.core.audio import write
    from earmark.spotting.clips import file_stem
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        keyword, found = kept.get(name), kept.near_misses(name)
    if not found:
        console.say(
            f"{keyword.name!r} has no near misses; find some: earmark tune {quote(keyword.name)} --background WAV"
        )
        return
    rows = [
        [
            str(number),
            one.source or "–",
            f"{one.score:.2f}",
            "detected" if one.score >= keyword.threshold else f"{keyword.threshold - one.score:.2f} below",
        ]
        for number, one in enumerate(found, start=1)
    ]
    console.print_table([">near miss", "recording", ">score", ">threshold"], rows, title=keyword.name)
    if export is not None:
        export.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(found, start=1):
            path = export / f"{file_stem(keyword.name)}-near-miss-{number:02d}.wav"
            write(path, one.wave)
        console.say(f"wrote {len(found)} files to {export}")
