"""`earmark enroll`: make a keyword from recordings."""

from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options
from earmark.cli.commands import command
from earmark.cli.enrolled import (
    check_enrolling,
    encoder_of,
    enroll_files,
    keyword_kind,
    remember_encoder,
    threshold_origin,
)
from earmark.cli.expectations import print_expectations

if TYPE_CHECKING:
    from earmark.spotting.takes import Take

MANY_TAKES = 10
"""More takes than this usually mean that the user named the wrong folder."""

_Say = Annotated[
    str | None,
    typer.Option(
        "--say", metavar="TEXT", help="The word as it is written; synthetic voices speak it, beside your recordings."
    ),
]
_Language = Annotated[
    str | None,
    typer.Option("--language", metavar="CODE", help="Language of --say, as espeak-ng names it; en if not given."),
]
_NoVerify = Annotated[
    bool, typer.Option("--no-verify", help="Detect the keyword without the verifier, which finds more of the words.")
]
_Force = Annotated[
    bool, typer.Option("--force", help="Do not ask about takes that are copies, unlike the others, or music.")
]


@command(
    panel="Keywords and voices",
    example="earmark enroll jarvis take1.wav take2.wav take3.wav --say jarvis\n"
    "earmark enroll lights takes/ --only-speaker alice\n"
    'earmark enroll jupiter --say "hey jupiter"',
)
def enroll(
    name: Annotated[str, typer.Argument(help="Name of the keyword; in quotes if it has spaces.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE|FOLDER", help="Recordings of the word, one to ten, or folders of them."),
    ] = None,
    say: _Say = None,
    language: _Language = None,
    store: options.Store = None,
    encoder: options.EncoderName = None,
    replace: options.Replace = False,
    add: options.Add = False,
    false_alarms_per_hour: options.FalseAlarms = None,
    only_speaker: options.OnlySpeaker = None,
    no_verify: _NoVerify = False,
    force: _Force = False,
) -> None:
    """Make a keyword from a few recordings of it.

    Each file contains the word once, with silence or noise around it; five takes are good, one works.
    Any audio format, any language. With --say, synthetic voices speak the word too: that helps most with
    few recordings, and works without any.
    """
    from earmark.core.errors import InputError
    from earmark.models.encoder import load_encoder
    from earmark.store.store import KeywordStore

    if language is not None and say is None:
        raise InputError("--language is that of --say; give the word too: --say TEXT")
    with KeywordStore(store) as kept:
        kind = keyword_kind(kept, verify=not no_verify)
        # Errors that need no audio come first.
        known = check_enrolling(kind, name, add=add, replace=replace)
        speaker = kept.get_speaker(only_speaker).name if only_speaker else known.only_speaker if known else None
        loaded = encoder_of(kept, known) if known is not None and encoder is None else load_encoder(encoder)
        synthetic = () if say is None else _spoken(say, language or "en")
        keyword = enroll_files(
            kind, name, files or (), loaded, known, false_alarms_per_hour, synthetic=synthetic, force=force
        )
        keyword = changed(keyword, only_speaker=speaker)
        # With `known` the store refuses to replace what another program changed meanwhile.
        kept.save(keyword, replace=known or replace, change="add takes" if add else "enroll again")
        remember_encoder(kept, loaded)
        others = kept.all()
    count, rate, voices = len(keyword.takes), keyword.rate, len(keyword.synthetic)
    if count > MANY_TAKES:
        console.note(f"{count} takes, but one to ten are usual; check that each file contains only the keyword")
    how_often = "" if rate is None else f" ({rate:g} false alarm{'s' * (rate != 1)} per hour)"
    console.say(
        f"saved {keyword.name!r}: {count} take{'s' * (count != 1)}, "
        + (f"{voices} synthetic voices, " if voices else "")
        + f"{keyword.duration_s:.2f} s long, "
        f"{kind.found_at} {keyword.threshold:.2f}{how_often}"
        f"{threshold_origin(known, keyword, false_alarms_per_hour)}"
        + (f", only for speaker {keyword.only_speaker!r}" if keyword.only_speaker else "")
    )
    print_expectations(keyword, others, loaded)


def _spoken(text: str, language: str) -> "list[Take]":
    """The text in synthetic voices, with a progress bar."""
    from earmark.data.synth.takes import synthesize_takes

    with console.progress_bar() as progress:
        return synthesize_takes(text, language, progress=progress)
