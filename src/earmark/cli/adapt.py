"""`earmark adapt`: a better encoder from recordings that nobody has labeled."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.vad import read_speech
from earmark.core.errors import InputError, needs


@command(panel="Training", example="earmark adapt recordings --rounds 3")
def adapt(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CORPUS",
            help="A folder of recordings, or a manifest of them. Labels are not read.",
            show_default=False,
        ),
    ],
    rounds: Annotated[
        int | None, typer.Option(help="Rounds of mining and training, at most.", show_default="3")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="base; none, to learn from nothing; a checkpoint of sequences; or an .onnx file adapted from base.",
            show_default="base",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="RECIPE",
            help="A recipe of sequences that says frames, encoder, optimizer; its data are filled in.",
            show_default="",
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELLED",
            help="Segments with labels, a list or manifest: their MAP decides which round is kept.",
            show_default="none: the loss on held-out pairs decides",
        ),
    ] = None,
    validation_audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder that the paths of such a list start from.", show_default="that of CORPUS"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for all that is written.", show_default="runs/adapt-<corpus>"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps of a round.", show_default="300, or the recipe's")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.", show_default="that of the start")] = None,
    anew: Annotated[
        bool | None,
        typer.Option(
            "--anew/--go-on",
            help="Whether each round learns from nothing, or goes on from the best so far.",
            show_default="go on, but from none anew",
        ),
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(help="Share of segments that shall have a neighbor.", show_default="0.2")
    ] = None,
    mutual: Annotated[
        bool | None,
        typer.Option(
            "--mutual/--one-way",
            help="Learn from a pair where each is a neighbor of the other, or where one is.",
            show_default="mutual",
        ),
    ] = None,
    most_segments: Annotated[
        int | None, typer.Option(help="Segments that are mined; of more, so many are drawn.", show_default="100000")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only recordings of this split.", show_default="all")] = None,
    speaker_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Searched in the paths below a folder; its first group is the speaker.",
            show_default="SPEAKER_nohash_NUMBER",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all draws.", show_default="0")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads and processes on the CPU.", show_default="all cores")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, …", show_default="cuda where there is one")
    ] = None,
) -> None:
    """Make an encoder better at the language, voices and microphones of recordings, without labels.

    In turn the encoder finds segments that sound alike in different mouths, and learns from these pairs. A round is
    kept if MAP rises or the held-out loss falls; the first one that is not kept is the last. Writes best.safetensors,
    an .onnx file for enroll, detect and index, report.md, and the recipes and commands that repeat each step. The same
    command goes on where it was stopped.
    """
    with needs("search"):
        import faiss  # noqa: F401 - fails before an hour of work
    with needs("evaluate"):
        from earmark.evaluation import plots  # noqa: F401
    with needs("train"):
        from earmark.core.config import checked
        from earmark.training.adaptation import AdaptSettings
        from earmark.training.adaptation import adapt as adapt_encoder
        from earmark.training.adaptation.recipes import choose_start
        from earmark.training.adaptation.report import summary, write

    options = {
        "rounds": rounds,
        "steps": steps,
        "lr": lr,
        "anew": anew,
        "coverage": coverage,
        "mutual": mutual,
        "most_segments": most_segments,
        "seed": seed,
        "threads": threads,
    }
    written = {name: value for name, value in options.items() if value is not None}
    settings = checked(AdaptSettings, written, "earmark adapt")
    chosen = choose_start(start, recipe)
    if validation is not None and not validation.exists():
        raise InputError(f"--validation {validation}: no such file")
    manifest = read_speech(source, split, speaker_pattern)
    corpus = re.sub(r"[^\w.-]+", "-", _named(source)).lstrip(".") or "corpus"
    out = out or Path("runs") / f"adapt-{corpus}"
    if validation is not None and validation_audio is None and validation.suffix not in {".tsv", ".parquet"}:
        validation_audio = manifest.folder
    with console.progress_bar() as progress:
        adapted = adapt_encoder(
            manifest,
            out,
            chosen,
            settings,
            name=corpus,
            validation=validation,
            validation_audio=validation_audio,
            device=device,
            workers=threads or os.cpu_count() or 1,
            say=console.say,
            progress=progress,
        )
    write(adapted, corpus, ["earmark", *sys.argv[1:]])
    for failure in adapted.material.failures:
        console.show_warning(f"left out: {failure}", UserWarning, "", 0)
    for line in summary(adapted):
        console.say(line)


def _named(source: Path) -> str:
    """What to call a corpus; many a manifest is called manifest, and its folder says of what."""
    place = source.resolve()
    return place.parent.name if place.stem == "manifest" else place.stem if place.is_file() else place.name
