"""`earmark keywords mark-false`, `mark-missed`, `drop`, `set`, `rename`, `undo`: corrections by the user."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, enrolled, options
from earmark.cli.commands import command

if TYPE_CHECKING:
    from earmark.core.audio import AudioInput
    from earmark.spotting.learning import Span
    from earmark.store.store import KeywordStore

_Recording = Annotated[Path | None, typer.Argument(help="The recording, such as a kept clip.")]
_From = Annotated[float | None, typer.Option("--from", metavar="SECONDS", min=0, help="Start of the span.")]
_To = Annotated[float | None, typer.Option("--to", metavar="SECONDS", min=0, help="End of the span.")]
_Last = Annotated[bool, typer.Option("--last", help="The last detection of the keyword by `earmark detect`.")]
_NearMiss = Annotated[
    int | None, typer.Option("--near-miss", metavar="NUMBER", help="A near miss, by its number in the list.")
]


@command(
    panel="Corrections",
    example="earmark keywords mark-false jarvis --last\nearmark keywords mark-false jarvis den.wav --from 12 --to 14",
)
def mark_false(
    name: options.KeywordName,
    recording: _Recording = None,
    start_s: _From = None,
    end_s: _To = None,
    last: _Last = False,
    near_miss: _NearMiss = None,
    encoder: options.EncoderName = None,
    store: options.Store = None,
) -> None:
    """Mark audio that must not trigger a keyword; it stays quiet from now on.

    Everything that triggers the keyword in the recording, or between --from and --to, is kept as a negative.
    """
    from earmark.spotting import learning
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        known = kept.get(name)
        audio, span, source = _marked(kept, name, recording, start_s, end_s, last=last, near_miss=near_miss)
        loaded = enrolled.encoder_of(kept, known, encoder)
        changed = learning.mark_false(known, audio, loaded, span=span, source=source)
        kept.save(changed, replace=known, change=f"mark {source} as false")
        _drop_near_miss(kept, name, near_miss)
    count = len(changed.negatives) - len(known.negatives)
    console.say(f"{changed.name!r}: marked {count} place{'s' * (count != 1)} as false; undo: {_undo(changed.name)}")
    lost = learning.lost_takes(known, changed)
    if lost:
        numbers = ", ".join(map(str, lost))
        console.note(f"take {numbers} of {changed.name!r} would be missed now; drop it, or undo")


@command(panel="Corrections", example="earmark keywords mark-missed jarvis hall.wav --from 3 --to 4.5")
def mark_missed(
    name: options.KeywordName,
    recording: _Recording = None,
    start_s: _From = None,
    end_s: _To = None,
    near_miss: _NearMiss = None,
    encoder: options.EncoderName = None,
    store: options.Store = None,
) -> None:
    """Add a word that was missed to the takes of a keyword.

    The recording, or its span, contains the word once and no other speech.
    """
    from earmark.spotting import learning
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        known = kept.get(name)
        audio, span, source = _marked(kept, name, recording, start_s, end_s, last=False, near_miss=near_miss)
        loaded = enrolled.encoder_of(kept, known, encoder)
        with console.progress_bar() as progress:
            changed = learning.mark_missed(known, audio, loaded, span=span, source=source, progress=progress)
        kept.save(changed, replace=known, change=f"mark {source} as missed")
        _drop_near_miss(kept, name, near_miss)
    console.say(
        f"{changed.name!r}: {len(changed.takes)} takes, detected at score {changed.threshold:.2f}; undo: "
        f"{_undo(changed.name)}"
    )


@command(
    panel="Corrections",
    example="earmark keywords drop jarvis 3\nearmark keywords drop jarvis 1 --negative",
)
def drop(
    name: options.KeywordName,
    number: Annotated[int, typer.Argument(help="Number of the take, as `earmark keywords show` lists it.")],
    negative: Annotated[bool, typer.Option("--negative", help="Drop a negative, not a take.")] = False,
    encoder: options.EncoderName = None,
    store: options.Store = None,
) -> None:
    """Drop a take of a keyword, or a negative."""
    from earmark.spotting import learning
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        known = kept.get(name)
        if negative:
            changed = learning.drop_negative(known, number)
        else:
            loaded = enrolled.encoder_of(kept, known, encoder)
            with console.progress_bar() as progress:
                changed = learning.drop_take(known, number, loaded, progress=progress)
        kept.save(changed, replace=known, change=f"drop {'negative' if negative else 'take'} {number}")
    console.say(
        f"{changed.name!r}: {len(changed.takes)} takes, {len(changed.negatives)} negatives, detected at score "
        f"{changed.threshold:.2f}; undo: {_undo(changed.name)}"
    )


@command(
    "set",
    panel="Corrections",
    example="earmark keywords set jarvis --false-alarms-per-hour 2\nearmark keywords set jarvis --threshold 0.7",
)
def set_(
    name: options.KeywordName,
    false_alarms_per_hour: options.FalseAlarms = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="SCORE", help="Detect at this score, whatever the rate; -1 to 1."),
    ] = None,
    encoder: options.EncoderName = None,
    store: options.Store = None,
) -> None:
    """Set how often a keyword may be detected falsely, or the score at which it is detected."""
    from earmark.core.errors import InputError
    from earmark.spotting.background import with_threshold
    from earmark.spotting.learning import set_threshold
    from earmark.store.store import KeywordStore

    if (threshold is None) == (false_alarms_per_hour is None):
        raise InputError("give either --false-alarms-per-hour RATE or --threshold SCORE")
    with KeywordStore(store) as kept:
        known = kept.get(name)
        if threshold is not None:
            changed = set_threshold(known, threshold)
            change = f"set the threshold to {threshold:g}"
        elif false_alarms_per_hour is not None:
            loaded = enrolled.encoder_of(kept, known, encoder)
            with console.progress_bar() as progress:
                changed = with_threshold(known, loaded, false_alarms_per_hour, progress=progress)
            change = f"set {false_alarms_per_hour:g} false alarms per hour"
        kept.save(changed, replace=known, change=change)
    console.say(f"{changed.name!r}: detected at score {changed.threshold:.2f}, before at {known.threshold:.2f}")


@command(panel="Corrections", example="earmark keywords rename jarvis 'hey jarvis'")
def rename(
    name: options.KeywordName,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    store: options.Store = None,
) -> None:
    """Rename a keyword."""
    from dataclasses import replace

    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        known = kept.get(name)
        kept.save(replace(known, name=new), replace=known, change=f"rename {known.name} to {new}")
    console.say(f"renamed {known.name!r} to {new!r}")


@command(panel="Corrections", example="earmark keywords undo jarvis")
def undo(name: options.KeywordName, store: options.Store = None) -> None:
    """Undo the last change of a keyword; a second time, redo it."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        now, change = kept.undo(name)
    console.say(f"{now!r}: undone: {change}")


def _marked(
    kept: "KeywordStore",
    name: str,
    recording: Path | None,
    start_s: float | None,
    end_s: float | None,
    *,
    last: bool,
    near_miss: int | None,
) -> "tuple[AudioInput, Span, str]":
    """The audio that the user marks, the span in it, and its source.

    Raises:
        InputError: not exactly one of recording, last detection and near miss is given, or it is not there.
    """
    from earmark.core.errors import InputError
    from earmark.spotting.learning import Span

    if (recording is not None) + last + (near_miss is not None) != 1:
        raise InputError("give one of RECORDING, --last and --near-miss NUMBER")
    if recording is not None:
        return recording, Span(start_s, end_s), str(recording)
    if start_s is not None or end_s is not None:
        raise InputError("--from and --to are for a RECORDING")
    if near_miss is not None:
        one = enrolled.near_miss(kept, name, near_miss)
        return one.wave, Span(one.start_s, one.end_s), one.source
    found = kept.last_detection(name)
    if found is None:
        raise InputError(f"{name!r} was not detected yet by `earmark detect`; give the RECORDING")
    if not Path(found.path).is_file():
        raise InputError(f"{found.path}: the file of the last detection is gone; give the RECORDING")
    return Path(found.path), Span(found.start_s, found.end_s), found.path


def _drop_near_miss(kept: "KeywordStore", name: str, number: int | None) -> None:
    """Drop a near miss that was marked from the list for review."""
    if number is not None:
        left = kept.near_misses(name)
        del left[number - 1]
        kept.save_near_misses(name, left)


def _undo(name: str) -> str:
    from shlex import quote

    return f"earmark keywords undo {quote(name)}"
