"""`earmark keywords list`, `show`, `restrict`, `remove`, `forget`: the keywords of a store."""

from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, enrolled, options
from earmark.cli.commands import command

if TYPE_CHECKING:
    from earmark.spotting.keyword import Keyword

_Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Names of keywords.")]


@command("list", panel="Stored keywords", example="earmark keywords list")
def list_(store: options.Store = None) -> None:
    """List all keywords."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        found = kept.all()
        near_misses = [len(kept.near_misses(keyword.name)) for keyword in found]
        if not found:
            console.say(f"{kept.path}: no keywords yet; make one: earmark enroll NAME FILE...")
            return
    rows = [
        [
            keyword.name,
            str(len(keyword.takes)),
            str(len(keyword.synthetic) or "–"),
            str(len(keyword.negatives) or "–"),
            str(count or "–"),
            f"{keyword.duration_s:.2f} s",
            f"{keyword.threshold:.2f}",
            _rate(keyword),
            enrolled.encoder_label(keyword.encoder),
            keyword.only_speaker or "any",
        ]
        for keyword, count in zip(found, near_misses, strict=True)
    ]
    columns = ["keyword", ">takes", ">voices", ">negatives", ">near misses", ">length", ">threshold", ">false alarms"]
    console.print_table([*columns, "encoder", "speaker"], rows)


@command(panel="Stored keywords", example="earmark keywords show jarvis")
def show(name: options.KeywordName, store: options.Store = None) -> None:
    """Show a keyword, its takes and its negatives."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        keyword, near_misses = kept.get(name), kept.near_misses(name)
    if keyword.takes:
        enrolled.print_takes(keyword.takes)
    if keyword.synthetic:
        console.say(f"{len(keyword.synthetic)} synthetic voices speak it: {keyword.synthetic[0].source}, …")
    if keyword.negatives:
        rows = [
            [str(number), one.source or "–", enrolled.span_text(one), one.created]
            for number, one in enumerate(keyword.negatives, start=1)
        ]
        console.print_table([">negative", "file", ">span", "marked"], rows)
    if near_misses:
        console.say(f"{len(near_misses)} near misses; list them: earmark keywords near-misses {keyword.name}")
    console.say(
        f"{keyword.name}: {keyword.duration_s:.2f} s long, detected at score {keyword.threshold:.2f} "
        f"({_rate(keyword)}), made {keyword.created} with encoder {enrolled.encoder_label(keyword.encoder)}; "
        f"speaker: {keyword.only_speaker or 'any'}; {_stages(keyword)}"
    )


def _stages(keyword: "Keyword") -> str:
    """Whether the verifier scores the keyword too, and how to change that."""
    if keyword.calibration.verifier is not None:
        return "with the verifier"
    return f"without the verifier, which `earmark keywords reembed {quote(keyword.name)}` adds"


def _rate(keyword: "Keyword") -> str:
    """The rate of false alarms for which the threshold was chosen, or who chose it."""
    if keyword.calibration.origin == "user":
        return "set by you"
    rate = "unknown" if keyword.rate is None else f"{keyword.rate:g} per hour"
    return f"{rate} in your room" if keyword.calibration.origin == "room" else rate


@command(
    panel="Corrections",
    example="earmark keywords restrict lights --only-speaker alice\nearmark keywords restrict lights --any-speaker",
)
def restrict(
    name: options.KeywordName,
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


@command(panel="Removal", example="earmark keywords remove jarvis")
def remove(names: _Names, store: options.Store = None) -> None:
    """Remove keywords with their takes, negatives and near misses. If one name is unknown, none is removed."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        enrolled.remove(enrolled.keyword_kind(kept), names)


@command(panel="Removal", example="earmark keywords forget jarvis")
def forget(
    names: _Names,
    store: options.Store = None,
) -> None:
    """Remove keywords, and delete the clips of their detections in the folders of `earmark detect --keep-clips`."""
    from earmark.spotting.clips import remove_clips
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        folders = kept.clip_folders()
        enrolled.remove(enrolled.keyword_kind(kept), names)
    for name in dict.fromkeys(names):
        for folder in folders:
            count = remove_clips(folder, name)
            if count:
                console.say(f"deleted {count} clip{'s' * (count != 1)} of {name!r} in {folder}")
