"""`earmark enroll`: make a keyword from recordings."""

from dataclasses import replace as changed
from pathlib import Path
from typing import Annotated

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

MANY_TAKES = 10
"""More takes than this usually mean that the user named the wrong folder."""


@command(
    panel="Keywords and voices",
    example="earmark enroll jarvis take1.wav take2.wav take3.wav\nearmark enroll lights takes/ --only-speaker alice",
)
def enroll(
    name: Annotated[str, typer.Argument(help="Name of the keyword; in quotes if it has spaces.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER", help="Recordings of the word, one to ten, or folders of them."),
    ],
    store: options.Store = None,
    encoder: options.EncoderName = None,
    replace: options.Replace = False,
    add: options.Add = False,
    false_alarms_per_hour: options.FalseAlarms = None,
    only_speaker: options.OnlySpeaker = None,
    no_verify: Annotated[
        bool,
        typer.Option("--no-verify", help="Detect the keyword without the verifier, which finds more of the words."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Do not ask about takes that are copies, unlike the others, or music."),
    ] = False,
) -> None:
    """Make a keyword from a few recordings of it.

    Each file contains the word once, with silence or noise around it; five takes are good, one works.
    Any audio format, any language.
    """
    from earmark.models.encoder import load_encoder
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        kind = keyword_kind(kept, verify=not no_verify)
        # Errors that need no audio come first.
        known = check_enrolling(kind, name, add=add, replace=replace)
        speaker = kept.get_speaker(only_speaker).name if only_speaker else known.only_speaker if known else None
        loaded = encoder_of(kept, known) if known is not None and encoder is None else load_encoder(encoder)
        keyword = enroll_files(kind, name, files, loaded, known, false_alarms_per_hour, force=force)
        keyword = changed(keyword, only_speaker=speaker)
        # With `known` the store refuses to replace what another program changed meanwhile.
        kept.save(keyword, replace=known or replace, change="add takes" if add else "enroll again")
        remember_encoder(kept, loaded)
        others = kept.all()
    count, rate = len(keyword.takes), keyword.rate
    if count > MANY_TAKES:
        console.note(f"{count} takes, but one to ten are usual; check that each file contains only the keyword")
    how_often = "" if rate is None else f" ({rate:g} false alarm{'s' * (rate != 1)} per hour)"
    console.say(
        f"saved {keyword.name!r}: {count} take{'s' * (count != 1)}, {keyword.duration_s:.2f} s long, "
        f"{kind.found_at} {keyword.threshold:.2f}{how_often}"
        f"{threshold_origin(known, keyword, false_alarms_per_hour)}"
        + (f", only for speaker {keyword.only_speaker!r}" if keyword.only_speaker else "")
    )
    print_expectations(keyword, others, loaded)
