"""`earmark evaluate probe`: how much an encoder makes of few labeled clips."""

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.evaluate import encoders as judged
from earmark.cli.extras import needs
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from earmark.evaluation.embedders import Embedder, Floats
    from earmark.evaluation.protocols.probe import Classifier, LabelSplit, Predictions, ProbeResult
    from earmark.evaluation.protocols.probe.clips import ProbeClips

EXAMPLE = (
    "Example: [bold]earmark evaluate probe arabic_commands/manifest.tsv --train-split val --test-split test "
    "--labels 5,20[/bold]"
)
MANIFESTS = (".tsv", ".parquet")
MFCC, CONV1D = "mfcc", "mfcc+conv1d"


class Probe(StrEnum):
    """What learns from the labeled clips."""

    dense = "dense"
    linear = "linear"


def probe(
    labeled: Annotated[
        Path, typer.Argument(help="Clips with labels to draw from: a list, one 'label path' a line, or a manifest.")
    ],
    test: Annotated[Path | None, typer.Argument(help="List of the clips that are told apart.")] = None,
    audio: Annotated[
        Path | None,
        typer.Option(help="Folder that the paths in the lists start from.", show_default="the manifest's folder"),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="base, tiny, an .onnx file, a checkpoint (.safetensors); mfcc: the features as they are; "
            "mfcc+conv1d: the convolution on them that Humayun et al. 2021 compare with.",
            show_default="base",
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="N,N", help="How many labeled clips of each word.", show_default="all")
    ] = None,
    classifier: Annotated[
        Probe,
        typer.Option(
            "--probe", help="The dense classifier of Humayun et al. 2021, or logistic regression on scaled numbers."
        ),
    ] = Probe.dense,
    train_split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT,SPLIT",
            help="Of the manifest: clips with labels.",
            show_default="half of the speakers, others each repetition",
        ),
    ] = None,
    test_split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT,SPLIT", help="Of the manifest: clips that are told apart.", show_default="the other half"
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT,SPLIT",
            help="Of the manifest: clips whose speakers are halved.",
            show_default="all but noise and rir",
        ),
    ] = None,
    words: Annotated[
        str | None, typer.Option(metavar="WORD,WORD", help="Only these words.", show_default="all")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Draws of labeled clips.")] = 5,
    spoken: judged.Spoken = None,
    vectors: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Keeps the vectors, so that another probe need not embed again."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Results folder; runs/probe-<lists>-<encoder>-<probe> unless given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of splits, classifier, and bootstrap over speakers.")] = 0,
) -> None:
    """Teach a classifier with few clips of each word, test it on others; writes tables, results.json and pictures."""
    if encoder == CONV1D and classifier is not Probe.dense:
        raise InputError(f"--probe: {CONV1D} is a classifier itself; leave it out")
    with needs("plots"):
        from earmark.evaluation.protocols import probe as protocol
        from earmark.evaluation.reports import probe as report

    import numpy as np

    numbers = _numbers(labels)
    clips = _read(labeled, test, audio, (train_split, test_split), split)
    if words is not None:
        clips = clips.only(judged.words(words, "--words"))
    splits = clips.split(numbers, repetitions, seed)
    learner = _classifier(encoder, classifier)
    embedder = _embedder(encoder, spoken)
    rows = _vectors(embedder, splits, clips.folder, vectors)
    predictions = _answers(splits, rows, learner, seed)
    results = protocol.compute_metrics(predictions, speakers=clips.speakers, rng=np.random.default_rng(seed))

    by = "conv1d" if encoder == CONV1D else classifier.value
    out = out or Path("runs") / f"probe-{clips.name}-{embedder.name}-{by}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(report.table(results, system=f"{embedder.name}, {by}"), encoding="utf-8")
    report.write_results(
        out / "results.json",
        results,
        command=["earmark", *sys.argv[1:]],
        encoder=embedder.name,
        fingerprint=embedder.fingerprint,
        lists=clips.name,
        classifier=by,
        seed=seed,
    )
    title = f"{embedder.name}, {by}: {clips.title}"
    report.draw(out, predictions, results, title=title)
    _print(results, title, out)


def _read(
    labeled: Path,
    test: Path | None,
    audio: Path | None,
    splits: tuple[str | None, str | None],
    split: str | None,
) -> "ProbeClips":
    from earmark.evaluation.protocols.probe.clips import read_lists, read_splits

    is_manifest = labeled.suffix in MANIFESTS
    if not is_manifest and (split or any(splits)):
        raise InputError(f"--split, --train-split, --test-split: {labeled} is a list; they choose from a manifest")
    if is_manifest and test is not None:
        raise InputError(f"{labeled} is a manifest: name its splits by --train-split and --test-split, not {test}")
    if (splits[0] is None) != (splits[1] is None) or (split and any(splits)):
        raise InputError("--train-split and --test-split: give both; or --split alone for halves of the speakers")
    if is_manifest:
        chosen = [[] if names is None else judged.words(names, "--split") for names in (splits[0] or split, splits[1])]
        return read_splits(labeled, *chosen, audio=audio)
    if test is None or audio is None:
        raise InputError(f"{labeled} is a list: name the list of the test after it, and --audio FOLDER")
    return read_lists(labeled, test, audio)


def _numbers(text: str | None) -> list[int | None]:
    """The numbers of `5,20`, each once and rising; None for all labels."""
    if text is None:
        return [None]
    try:
        found = sorted({int(part) for part in text.split(",") if part.strip()})
    except ValueError:
        found = []
    if not found or found[0] < 1:
        raise InputError(f"--labels {text!r}: write whole numbers above 0 with commas between them, such as 5,20")
    return list(found)


def _embedder(name: str | None, spoken: bool | None) -> "Embedder":
    if name not in (MFCC, CONV1D):
        return judged.load(name, spoken=spoken)
    if spoken:
        raise InputError(f"--spoken: {name} hears one second, the middle of a clip; leave it out")
    with needs("train"):
        from earmark.training.spatial.plain import PlainMfcc

    return PlainMfcc()


def _classifier(name: str | None, chosen: Probe) -> "Classifier":
    if name != CONV1D and chosen is Probe.linear:
        from earmark.evaluation.protocols.probe import classify_linear

        return classify_linear
    with needs("train"):
        from earmark.training.spatial.classifier import classify
        from earmark.training.spatial.conv1d import Conv1dSettings, classify_mfcc
    if name == CONV1D:
        return partial(classify_mfcc, settings=Conv1dSettings())
    return classify


def _vectors(
    embedder: "Embedder", splits: "Sequence[LabelSplit]", folder: Path, file: Path | None
) -> "dict[str, Floats]":
    from earmark.evaluation.embedders import EncoderEmbedder

    paths = sorted({clip.path for split in splits for clip in (*split.train, *split.test)})
    if file is None:
        return judged.embed(embedder, paths, folder)
    key = judged.key(embedder, crops=0, seed=0, spoken=isinstance(embedder, EncoderEmbedder) and embedder.spoken)
    places = {path: folder / path for path in paths}
    # The file was named by hand: hours of another encoder's work, or something else altogether, may be in it.
    return judged.embed_into(file, places, embedder, key=key, silence="embed", refuse_others=True).by_path


def _answers(
    splits: "Sequence[LabelSplit]", vectors: "dict[str, Floats]", learner: "Classifier", seed: int
) -> "tuple[Predictions, ...]":
    from earmark.evaluation.protocols.probe import predict

    with console.progress_bar() as progress:
        return predict(splits, vectors, learner, seed=seed, progress=partial(progress, "learning words"))


def _print(results: "Sequence[ProbeResult]", title: str, out: Path) -> None:
    from earmark.evaluation.protocols.probe import METRICS
    from earmark.evaluation.reports.probe import spread_text

    columns = ["labels", *(f">{name} (%)" for name in METRICS.values())]
    rows = [[result.name, *(spread_text(result.numbers[key]) for key in METRICS)] for result in results]
    console.print_table(columns, rows, title)
    console.say(f"wrote {out}")
