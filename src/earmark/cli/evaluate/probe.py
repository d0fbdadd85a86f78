"""`earmark evaluate probe`: train classifiers of embeddings on few labeled clips, and test them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.evaluate import encoders
from earmark.cli.evaluate.results import OutOption, identity, print_results, results_folder, write_report
from earmark.cli.settings import Flag, options_from
from earmark.core.errors import InputError, needs

if TYPE_CHECKING:
    from earmark.evaluation.embedders import Embedder, Floats
    from earmark.evaluation.protocols.probe import Classifier, LabelSplit, ProbeSettings
    from earmark.evaluation.protocols.probe.clips import ProbeClips

MANIFESTS = (".tsv", ".parquet")
MFCC, CONV1D = "mfcc", "mfcc+conv1d"

_SPLITS = Flag(metavar="SPLIT,SPLIT", separator=",")


@command(
    example="earmark evaluate probe arabic_commands/manifest.tsv --train-split val --test-split test --labels 5,20"
)
@options_from(
    "earmark.evaluation.protocols.probe:ProbeSettings",
    flags={
        "labels": Flag(metavar="N,N", separator=","),
        "classifier": "--probe",
        "train_split": _SPLITS,
        "test_split": _SPLITS,
        "split": _SPLITS,
        "words": Flag(metavar="WORD,WORD", separator=","),
    },
)
def probe(
    labeled: Annotated[
        Path, typer.Argument(help="Clips to draw training clips from: a list with lines 'label path', or a manifest.")
    ],
    settings: "ProbeSettings",
    test: Annotated[Path | None, typer.Argument(help="List of the test clips; not for a manifest.")] = None,
    audio: Annotated[
        Path | None,
        typer.Option(help="Folder that paths are relative to; the manifest's folder if not given."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Name of a shipped encoder, an .onnx file, or a checkpoint (.safetensors); base if not given. mfcc "
            "evaluates the MFCC features themselves, mfcc+conv1d the network of Humayun et al. 2021 on them.",
        ),
    ] = None,
    spoken: encoders.SpokenOption = None,
    vectors: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="File that keeps the embeddings for further probes."),
    ] = None,
    out: OutOption = None,
) -> None:
    """Train a classifier on few clips of each word and test it on others; writes tables, results.json and plots."""
    if encoder == CONV1D and "classifier" in settings.model_fields_set and settings.classifier != "dense":
        raise InputError(f"{CONV1D} is a classifier itself; drop --classifier", key="classifier")
    with needs("evaluate"):
        from earmark.evaluation.protocols import probe as protocol
        from earmark.evaluation.reports import plots
        from earmark.evaluation.reports import probe as report

    import numpy as np

    clips = _read(labeled, test, audio, settings)
    if settings.words is not None:
        clips = clips.only(settings.words)
    splits = clips.split(settings.label_counts, settings.repetitions, settings.seed)
    classifier, name = _classifier(encoder, settings)
    embedder = _embedder(encoder, spoken)
    embeddings = _embeddings(embedder, splits, clips.folder, vectors)
    with console.progress_bar() as progress:
        predictions = protocol.predict(splits, embeddings, classifier, seed=settings.seed, progress=progress)
    results = protocol.compute_metrics(predictions, speakers=clips.speakers, rng=np.random.default_rng(settings.seed))

    folder = results_folder(out, "probe", clips.name, embedder.name, name)
    write_report(
        folder,
        "probe",
        report.markdown(results, system=f"{embedder.name}, {name}"),
        {"classifier": name, "seed": settings.seed, **report.document(results)},
        encoder=identity(embedder),
        lists=clips.name,
    )
    title = f"{embedder.name}, {name}: {clips.title}"
    plots.draw_probe(folder, predictions, results, title=title)
    print_results(report.COLUMNS, report.rows(results), title, folder)


def _read(labeled: Path, test: Path | None, audio: Path | None, settings: "ProbeSettings") -> "ProbeClips":
    """Read the clips to train on and to test on, from two lists or from the splits of a manifest."""
    from earmark.evaluation.protocols.probe.clips import read_lists, read_splits

    if labeled.suffix in MANIFESTS:
        if test is not None:
            raise InputError(f"{labeled} is a manifest: name its splits by --train-split and --test-split, not {test}")
        return read_splits(
            labeled, settings.train_split or settings.split or (), settings.test_split or (), audio=audio
        )
    for key in ("split", "train_split", "test_split"):
        if getattr(settings, key) is not None:
            raise InputError(
                f"{labeled} is a list without splits; drop --{key.replace('_', '-')}, or give a manifest", key=key
            )
    if test is None:
        raise InputError(f"{labeled} is a list: name the list of the test clips as the second argument")
    if audio is None:
        raise InputError(f"give the folder that the paths in {labeled} are relative to", key="audio")
    return read_lists(labeled, test, audio)


def _embedder(name: str | None, spoken: bool | None) -> "Embedder":
    if name not in (MFCC, CONV1D):
        return encoders.load(name, spoken=spoken)
    if spoken:
        raise InputError(f"{name} always uses the middle second of a clip; drop --spoken", key="spoken")
    with needs("train"):
        from earmark.training.spatial.plain import PlainMfcc

    return PlainMfcc()


def _classifier(encoder: str | None, settings: "ProbeSettings") -> "tuple[Classifier, str]":
    """Choose the classifier by the encoder and the settings; returns it and its name."""
    if encoder != CONV1D and settings.classifier == "linear":
        from earmark.evaluation.protocols.probe import classify_linear

        return classify_linear, "linear"
    with needs("train"):
        from earmark.training.spatial.classifier import classify
        from earmark.training.spatial.conv1d import Conv1dSettings, classify_mfcc
    if encoder == CONV1D:
        return partial(classify_mfcc, settings=Conv1dSettings()), "conv1d"
    return classify, "dense"


def _embeddings(
    embedder: "Embedder", splits: "Sequence[LabelSplit]", folder: Path, cache: Path | None
) -> "dict[str, Floats]":
    """Embed the clips of all splits; returns embeddings by path. The file `cache`, if given, keeps them."""
    from earmark.evaluation.embedders import EncoderEmbedder

    paths = sorted({clip.path for split in splits for clip in (*split.train, *split.test)})
    if cache is None:
        return encoders.embed(embedder, paths, folder)
    key = encoders.cache_key(embedder, spoken=isinstance(embedder, EncoderEmbedder) and embedder.spoken)
    files = {path: folder / path for path in paths}
    # The user named the file: it may hold hours of another encoder's work, or something else.
    return encoders.embed_into(cache, files, embedder, key=key, silence="embed", refuse_others=True).by_path
