"""`earmark enroll`: a keyword from a few recordings."""

import warnings
from contextlib import suppress
from dataclasses import replace as changed
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console, options
from earmark.cli.takes import whence

EXAMPLE = (
    "Examples: [bold]earmark enroll jarvis take1.wav take2.wav take3.wav[/bold], "
    "[bold]earmark enroll lights l1.wav l2.wav --only-speaker alice[/bold]"
)


def enroll(
    name: Annotated[
        str, typer.Argument(help="What to call the keyword; in quotes if it has spaces.", show_default=False)
    ],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Recordings of the word, one to ten.", show_default=False)
    ],
    store: options.Store = None,
    encoder: options.EncoderName = None,
    replace: Annotated[bool, typer.Option("--replace", help="Forget an earlier keyword of this name.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Add the takes to those of the keyword of this name.")] = False,
    false_alarms_per_hour: options.FalseAlarms = None,
    only_speaker: options.OnlySpeaker = None,
) -> None:
    """Make a keyword of a few recordings of it.

    Each file holds the word once, with silence or noise around it; five takes are good, one works.
    Any sound format, any language.
    """
    from earmark.core.errors import InputError
    from earmark.core.names import clean_name
    from earmark.models.encoder import load_encoder
    from earmark.spotting.enrollment import FALSE_ALARMS_PER_HOUR, extend
    from earmark.spotting.enrollment import enroll as enroll_keyword
    from earmark.spotting.takes import TakeWarning
    from earmark.store.store import KeywordNotFound, KeywordStore

    if add and replace:
        raise InputError("--add keeps the earlier takes, --replace forgets them; give one of the two")
    clean_name(name)  # a bad name is told before the work
    with KeywordStore(store) as kept:
        # Only this one may give way: another program may add takes too while these are heard.
        known = kept.get(name) if add else None
        # Whom it answers to is told before the work too; more takes do not open the gate.
        speaker = kept.get_speaker(only_speaker).name if only_speaker else known.only_speaker if known else None
        if not add and not replace:
            with suppress(KeywordNotFound):
                kept.get(name)
                raise InputError(f"keyword {name!r} exists; add these takes with --add, or start over with --replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TakeWarning)  # the table says them
            loaded, sources, rate = load_encoder(encoder), list(map(str, files)), false_alarms_per_hour
            if known:
                keyword = extend(known, files, encoder=loaded, sources=sources, false_alarms_per_hour=rate)
            else:
                rate = FALSE_ALARMS_PER_HOUR if rate is None else rate
                keyword = enroll_keyword(name, files, encoder=loaded, sources=sources, false_alarms_per_hour=rate)
        keyword = changed(keyword, only_speaker=speaker)
        console.print_takes(keyword.takes)
        kept.save(keyword, replace=known or replace)
    count, rate = len(keyword.takes), keyword.rate
    how_often = "" if rate is None else f" ({rate:g} false alarm{'s' * (rate != 1)} an hour)"
    console.say(
        f"saved {keyword.name!r}: {count} {'take' if count == 1 else 'takes'}, {keyword.duration_s:.2f} s long, "
        f"heard from score {keyword.threshold:.2f} on{how_often}{whence(known, keyword.encoder, false_alarms_per_hour)}"
        + (f", for {keyword.only_speaker!r} only" if keyword.only_speaker else "")
    )
