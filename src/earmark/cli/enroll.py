"""`earmark enroll`: a keyword from a few recordings."""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options

if TYPE_CHECKING:
    from earmark.audio import Wave

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
    from earmark.encoder import load_encoder
    from earmark.enrollment import FALSE_ALARMS_PER_HOUR, TakeWarning
    from earmark.enrollment import enroll as enroll_keyword
    from earmark.errors import InputError
    from earmark.names import clean_name
    from earmark.store import KeywordNotFound, KeywordStore

    if add and replace:
        raise InputError("--add keeps the earlier takes, --replace forgets them; give one of the two")
    rate = FALSE_ALARMS_PER_HOUR if false_alarms_per_hour is None else false_alarms_per_hour
    clean_name(name)  # a bad name is told before the work
    with KeywordStore(store) as kept:
        # Only this one may give way: another program may add takes too while these are heard.
        known = kept.get(name) if add else None
        earlier = known.takes if known else ()
        # Whom it answers to is told before the work too; more takes do not open the gate.
        speaker = kept.get_speaker(only_speaker).name if only_speaker else known.only_speaker if known else None
        if not add and not replace:
            with suppress(KeywordNotFound):
                kept.get(name)
                raise InputError(f"keyword {name!r} exists; add these takes with --add, or start over with --replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TakeWarning)  # the table says them
            keyword = enroll_keyword(
                name,
                [*(take.wave for take in earlier), *map(_read, files)],
                encoder=load_encoder(encoder),
                sources=[*(take.source for take in earlier), *map(str, files)],
                false_alarms_per_hour=rate,
                only_speaker=speaker,
            )
        console.print_takes(keyword.takes)
        kept.save(keyword, replace=known or replace)
    count = len(keyword.takes)
    console.say(
        f"saved {keyword.name!r}: {count} {'take' if count == 1 else 'takes'}, {keyword.duration_s:.2f} s long, "
        f"heard from score {keyword.threshold:.2f} on ({rate:g} false alarm{'s' * (rate != 1)} an hour)"
        + (f", for {keyword.only_speaker!r} only" if keyword.only_speaker else "")
    )


def _read(file: Path) -> "Wave":
    from earmark import audio
    from earmark.enrollment import LONGEST_TAKE_S
    from earmark.errors import InputError

    # Three hours of sound need not be read to be refused.
    length_s = audio.duration_s(file)
    if length_s > LONGEST_TAKE_S:
        raise InputError(
            f"{file}: {length_s:.0f} s long, and a take is at most {LONGEST_TAKE_S:.0f} s; cut the word out"
        )
    return audio.read(file)
