"""`earmark prepare synth`: synthesize recordings of the words of a list."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.settings import Flag, options_from

if TYPE_CHECKING:
    from earmark.data.synth.synthesis import SynthReport, SynthSettings


@command(example="earmark prepare synth recipes/words.tsv --languages en,es --out data/synth")
@options_from(
    "earmark.data.synth.synthesis:SynthSettings",
    flags={"languages": Flag(separator=","), "engines": Flag(separator=",")},
    without=["rate_wpm", "pitch"],
)
def synth(
    words: Annotated[Path, typer.Argument(help="Word list, lines language<TAB>word.")],
    out: Annotated[Path, typer.Option(help="Folder of the FLAC files and manifest.parquet.")],
    settings: "SynthSettings",
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
) -> None:
    """Synthesize a word list with many voices; an interrupted command continues when run again."""
    from earmark.data.synth.synthesis import read_words, synthesize

    listed = read_words(words)
    with console.progress_bar() as progress:
        report = synthesize(listed, out, settings, workers=workers, progress=progress)
    console.say(f"{out / 'manifest.parquet'}: {_summary(report)}")


def _summary(report: "SynthReport") -> str:
    missing = ", ".join(f"{count} {reason}" for reason, count in sorted(report.failures.items())) or "none"
    speed = f" in {report.elapsed_s:.0f} s" if report.shards_made else ""
    return (
        f"{report.clips} clips of {report.words} words by {report.voices} voices, {report.speech_s / 3600:.2f} h;"
        f" files: {report.shards_made} made{speed}, {report.shards_kept} kept; missing clips: {missing}"
    )
