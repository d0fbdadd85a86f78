"""`earmark prepare synth`: recordings of a word list by synthetic voices."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console

if TYPE_CHECKING:
    from earmark.data.synth.synthesis import SynthReport, SynthSettings

EXAMPLE = "Example: [bold]earmark prepare synth recipes/models/words.tsv --languages en,es --out data/synth[/bold]"


def synth(
    words: Annotated[Path, typer.Argument(help="Word list, one language<TAB>word a line.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the FLAC files and manifest.parquet.", show_default=False)],
    # The defaults stand in SynthSettings, which is slow to import; a test keeps the words here true.
    voices: Annotated[int | None, typer.Option(help="Voice settings that speak each word.", show_default="8")] = None,
    words_per_voice: Annotated[
        int | None,
        typer.Option(help="About how many words one voice setting speaks; fewer make more voices.", show_default="60"),
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Only these languages of the list, parted by commas.", show_default="all")
    ] = None,
    engines: Annotated[
        str | None,
        typer.Option(help="Synthesizers, parted by commas.", show_default="espeak-ng,flite,festival"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that speak at the same time.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Seed of all draws.", show_default="0")] = None,
) -> None:
    """Speak a word list with many synthetic voices; started again, it goes on where it stopped."""
    from earmark.data.synth.synthesis import read_words, synthesize

    settings = _settings(
        voices=voices, words_per_voice=words_per_voice, languages=_parts(languages), engines=_parts(engines), seed=seed
    )
    listed = read_words(words)
    with console.progress_bar() as progress:
        report = synthesize(
            listed,
            out,
            settings,
            workers=workers,
            on_shard=partial(progress, "speaking"),
        )
    console.say(f"{out / 'manifest.parquet'}: {_told(report)}")


def _parts(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _settings(**given: Any) -> "SynthSettings":
    from pydantic import ValidationError

    from earmark.core.errors import InputError
    from earmark.data.synth.synthesis import SynthSettings

    try:
        return SynthSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from None


def _told(report: "SynthReport") -> str:
    missing = ", ".join(f"{count} {reason}" for reason, count in sorted(report.failures.items())) or "none"
    speed = f" in {report.elapsed_s:.0f} s" if report.shards_made else ""
    return (
        f"{report.clips} clips of {report.words} words by {report.voices} voices, {report.speech_s / 3600:.2f} h;"
        f" files: {report.shards_made} made{speed}, {report.shards_kept} kept; missing clips: {missing}"
    )
