"""`earmark adapt`: adapt an encoder to unlabeled recordings."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.options import Device
from earmark.cli.prepare.options import SpeakerPattern, Split, process_count
from earmark.cli.prepare.vad import read_speech
from earmark.cli.settings import options_from
from earmark.core.errors import InputError, needs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from earmark.training.adaptation.self_training import AdaptationResult, SelfTraining
    from earmark.training.adaptation.settings import AdaptSettings


Init = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Initial weights: base, none (random weights), a checkpoint of kind sequences, or an .onnx file adapted "
        "from base; base if not given.",
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder to write to; runs/adapt-CORPUS if not given.")]
Validation = Annotated[
    Path | None,
    typer.Option(
        metavar="LABELED",
        help="List or manifest of labeled segments whose MAP decides which round is kept; the loss on held-out pairs "
        "decides if not given.",
    ),
]


@command(panel="Training", example="earmark adapt recordings --rounds 3")
@options_from("earmark.training.adaptation.settings:AdaptSettings")
def adapt(
    source: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="A folder of recordings, or a manifest; its labels are not used.")
    ],
    settings: "AdaptSettings",
    init: Init = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe of kind sequences, for its frames, encoder and optimizer; its data are ignored."),
    ] = None,
    validation: Validation = None,
    validation_audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder that the paths in a --validation list start from; CORPUS if not given."
        ),
    ] = None,
    out: Out = None,
    split: Split = None,
    speaker_pattern: SpeakerPattern = None,
    device: Device = None,
) -> None:
    """Adapt an encoder to the language, voices and microphones of recordings, without labels.

    Each round mines pairs of similar segments of different speakers with the encoder, and trains the encoder on them. A
    round is kept if MAP on the --validation segments rises, or without them, if the loss on held-out pairs falls. The
    first round that is not kept is the last. Writes best.safetensors, an .onnx file for enroll, detect and index,
    report.md, and the recipes and commands that repeat each step. The same command continues interrupted work.
    """
    with needs("search"):
        import faiss  # noqa: F401 -- a missing package is an error before an hour of work
    with needs("evaluate"):
        from earmark.training.adaptation import report
    with needs("train"):
        from earmark.training.adaptation.initialization import choose_initialization
        from earmark.training.adaptation.self_training import SelfTraining

    initialization = choose_initialization(init, recipe)
    if validation is not None and not validation.exists():
        raise InputError(f"{validation}: no such file; give a list or manifest of labeled segments", key="validation")
    manifest, corpus = read_speech(source, split, speaker_pattern), _corpus_name(source)
    if validation_audio is None and _is_list(validation):
        validation_audio = manifest.folder
    with console.progress_bar() as progress:
        training = SelfTraining(
            manifest,
            out or Path("runs") / f"adapt-{corpus}",
            initialization,
            settings,
            name=corpus,
            validation=validation,
            validation_audio=validation_audio,
            device=device,
            workers=process_count(settings.threads),
            progress=progress,
        )
        result = _train(training)
    report.write_report(result, corpus, ["earmark", *sys.argv[1:]])
    _show(result, report.summary(result))


def _show(result: "AdaptationResult", summary: "Iterable[str]") -> None:
    """Print a warning for each recording that was dropped, then the summary."""
    for failure in result.dataset.failures:
        console.show_warning(f"dropped: {failure}", UserWarning, "", 0)
    for line in summary:
        console.say(line)


def _is_list(validation: Path | None) -> bool:
    """Whether `validation` is a list: the paths in a list need a folder, those in a manifest do not."""
    return validation is not None and validation.suffix not in {".tsv", ".parquet"}


def _train(training: "SelfTraining") -> "AdaptationResult":
    """Initialize the encoder and run all rounds; print a line about each step."""
    from earmark.training.adaptation.report import dataset_line, round_line
    from earmark.training.adaptation.self_training import metric_text

    console.say(dataset_line(training.dataset))
    if metrics := training.initialize():
        console.say(f"trained on sections in two tempos: {metric_text(training.watch, metrics)}")
    for finished in training.rounds():
        console.say(round_line(finished, training.watch))
    return training.result()


def _corpus_name(source: Path) -> str:
    """Return the name of a corpus: that of its manifest or folder; for a file called `manifest`, that of its folder."""
    path = source.resolve()
    name = path.parent.name if path.stem == "manifest" else path.stem if path.is_file() else path.name
    return re.sub(r"[^\w.-]+", "-", name).lstrip(".") or "corpus"
