"""`earmark prepare`: make manifests of recordings, and recordings of word lists."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from earmark.data.corpora.folder import SPEAKER_PATTERN, read_folder
from earmark.data.manifest import write_manifest
from earmark.data.splits import assign_splits
from earmark.data.synth import SynthReport, SynthSettings, read_words, synthesise
from earmark.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Make manifests of recordings, and recordings of word lists.")

_DEFAULTS = SynthSettings()


@app.command(epilog="Example: earmark prepare folder my_words --out my_words/manifest.parquet")
def folder(
    directory: Annotated[Path, typer.Argument(help="A folder of recordings, one folder a word: WORD/FILE.wav")],
    out: Annotated[Path, typer.Option(help="The manifest to write: .tsv or .parquet")],
    speaker_pattern: Annotated[
        str, typer.Option(help="Regular expression on WORD/FILE.wav; its first group is the speaker")
    ] = SPEAKER_PATTERN,
    val: Annotated[float, typer.Option(help="Fraction of the speakers for validation")] = 0.1,
    test: Annotated[float, typer.Option(help="Fraction of the speakers for testing")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split")] = 0,
) -> None:
    """Make a manifest of a folder of recordings, split by speaker."""
    manifest = assign_splits(read_folder(directory, speaker_pattern=speaker_pattern), val=val, test=test, seed=seed)
    write_manifest(manifest, out)
    speech = [clip for clip in manifest if clip.split != "noise"]
    splits = ", ".join(f"{split} {count}" for split, count in sorted(Counter(clip.split for clip in manifest).items()))
    labels, speakers = ({getattr(clip, name) for clip in speech} - {""} for name in ("label", "speaker"))
    typer.echo(f"{out}: {len(manifest)} clips ({splits}), {len(labels)} labels, {len(speakers)} speakers")


@app.command(epilog="Example: earmark prepare synth recipes/words.tsv --languages en,es --out data/synth")
def synth(
    words: Annotated[Path, typer.Argument(help="Word list, one language<TAB>word a line")],
    out: Annotated[Path, typer.Option(help="Folder for the FLAC files and manifest.parquet")],
    voices: Annotated[int, typer.Option(min=1, help="Voice settings that speak each word")] = _DEFAULTS.voices,
    words_per_voice: Annotated[
        int, typer.Option(min=1, help="About how many words a voice setting speaks; fewer make more voices")
    ] = _DEFAULTS.words_per_voice,
    languages: Annotated[str, typer.Option(help="Only these languages of the list, parted by commas")] = "",
    engines: Annotated[str, typer.Option(help="Synthesisers, parted by commas")] = ",".join(_DEFAULTS.engines),
    workers: Annotated[int, typer.Option(min=1, help="Processes that speak at the same time")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of all draws")] = _DEFAULTS.seed,
) -> None:
    """Speak a word list with many synthetic voices. Interrupted, it goes on where it stopped."""
    settings = _settings(
        voices=voices, words_per_voice=words_per_voice, languages=_parts(languages), engines=_parts(engines), seed=seed
    )
    listed = read_words(words)
    columns = (TextColumn("speaking"), BarColumn(), MofNCompleteColumn(), TextColumn("voices"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("speaking", total=None)
        report = synthesise(
            listed,
            out,
            settings,
            workers=workers,
            on_shard=lambda done, total: progress.update(task, completed=done, total=total),
        )
    typer.echo(f"{out / 'manifest.parquet'}: {_told(report)}")


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _settings(**values: Any) -> SynthSettings:
    try:
        return SynthSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "options"
        raise InputError(f"--{option}: {first['msg']}") from None


def _told(report: SynthReport) -> str:
    missing = ", ".join(f"{count} {reason}" for reason, count in sorted(report.failures.items())) or "none"
    rate = report.clips / report.elapsed_s if report.shards_made and report.elapsed_s else 0
    speed = f", {rate:.0f} clips a second" if rate and not report.shards_kept else ""
    return (
        f"{report.clips} clips of {report.words} words by {report.voices} voices, {report.speech_s / 3600:.2f} h;"
        f" files: {report.shards_made} made, {report.shards_kept} kept; missing clips: {missing}{speed}"
    )
