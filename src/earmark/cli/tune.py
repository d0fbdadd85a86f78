"""`earmark tune`: set thresholds by a recording of the user's room."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, enrolled, options
from earmark.cli.commands import command

if TYPE_CHECKING:
    from earmark.spotting.background import Background


@command(
    panel="Keywords and voices",
    example="earmark tune jarvis --background living-room.wav\nearmark tune --background living-room.wav",
)
def tune(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Names of keywords; all if not given.")
    ] = None,
    *,
    background: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Ten minutes to some hours of the room where earmark listens; nobody says the keywords there.",
        ),
    ],
    false_alarms_per_hour: options.FalseAlarms = None,
    near_misses: Annotated[
        int, typer.Option("--near-misses", metavar="NUMBER", min=0, help="Near misses to keep for review.")
    ] = 10,
    encoder: options.EncoderName = None,
    store: options.Store = None,
) -> None:
    """Set the thresholds of keywords by a recording of your room, and keep what comes close to them for review.

    Review it with `earmark keywords near-misses NAME`.
    """
    from earmark.core.errors import InputError
    from earmark.spotting import tuning
    from earmark.spotting.background import read_background
    from earmark.store.store import KeywordStore

    rows: list[list[str]] = []
    rooms: dict[str, Background] = {}
    with KeywordStore(store) as kept:
        keywords = [kept.get(name) for name in dict.fromkeys(names)] if names else kept.all()
        if not keywords:
            raise InputError(f"{kept.path}: no keywords yet; make one: earmark enroll NAME FILE...")
        chosen = enrolled.convert_earlier(kept, enrolled.choose_encoders(kept, keywords, encoder))
        with console.progress_bar() as progress:
            for fingerprint in dict.fromkeys(keyword.encoder for keyword in chosen.keywords):
                rooms[fingerprint] = read_background(background, chosen.encoders[fingerprint], progress=progress)
            for keyword in chosen.keywords:
                tuned = tuning.tune(
                    keyword,
                    chosen.of(keyword),
                    rooms[keyword.encoder],
                    false_alarms_per_hour=false_alarms_per_hour,
                    most=near_misses,
                    progress=progress,
                )
                kept.save(tuned.keyword, replace=keyword, change=f"tune to {background}")
                kept.save_near_misses(keyword.name, tuning.near_misses(background, tuned.events))
                before, after = f"{keyword.threshold:.2f}", f"{tuned.keyword.threshold:.2f}"
                rates = [_rate_text(tuned.rate_before), _rate_text(tuned.rate)]
                rows.append([keyword.name, before, after, *rates, str(len(tuned.events))])
    columns = ["keyword", ">threshold before", ">now", ">false alarms per hour here before", ">now", ">near misses"]
    console.print_table(columns, rows)


def _rate_text(rate: float) -> str:
    """A rate of false alarms for tables; an extrapolated one is not more exact than this."""
    return "< 0.01" if rate < 0.01 else f"{rate:.2g}" if rate < 100 else "> 100"
