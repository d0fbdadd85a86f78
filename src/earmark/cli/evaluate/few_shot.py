"""`earmark evaluate few-shot`: enroll keywords from a few clips, test on others."""

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
    from collections.abc import Mapping, Sequence

    from earmark.evaluation.protocols import few_shot as protocol
    from earmark.evaluation.protocols.trials import ListPair
    from earmark.models.encoder import Encoder

EXAMPLE = "Example: [bold]earmark evaluate few-shot trials/gsc10 --audio speech_commands_test[/bold]"


class Scoring(StrEnum):
    """What the score of a clip is."""

    clip = "clip"
    detector = "detector"


class Backend(StrEnum):
    """How several takes of a keyword give one score."""

    prototype = "prototype"
    centroid = "centroid"
    best_take = "best-take"
    svm = "svm"


def few_shot(
    lists: Annotated[Path, typer.Argument(help="Folder of enroll_*.txt and test_*.txt, one 'label path' a line.")],
    audio: Annotated[Path, typer.Option(help="Folder that the paths in the lists start from.")],
    encoder: judged.EncoderName = None,
    scoring: Annotated[
        Scoring, typer.Option(help="clip: a clip is one vector; detector: the best score of the live detector.")
    ] = Scoring.clip,
    backend: Annotated[
        Backend,
        typer.Option(
            help="Compare with the mean of the unit takes, the plain mean as published, the best take, "
            "or by one RBF-SVM a keyword (clip)."
        ),
    ] = Backend.prototype,
    background: Annotated[
        Path | None,
        typer.Option(metavar="LIST", help="Clips that say no keyword, 'label path' a line, for the SVM to tell from."),
    ] = None,
    target_words: Annotated[
        str | None,
        typer.Option(metavar="WORD,WORD", help="Enroll only these; the other words of the lists become impostors."),
    ] = None,
    spoken: judged.Spoken = None,
    out: Annotated[
        Path | None, typer.Option(help="Results folder; runs/few-shot-<lists>-<encoder> unless given.")
    ] = None,
    limit_seeds: Annotated[int | None, typer.Option(min=1, help="Only the first lists of each condition.")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap over speakers, and of the map.")] = 0,
) -> None:
    """Enroll keywords from a few clips, test on others; writes table.md, results.json and five pictures."""
    _check(encoder, scoring, backend, background, spoken)
    with needs("plots"):
        from earmark.evaluation.protocols import few_shot as protocol
        from earmark.evaluation.protocols import trials
        from earmark.evaluation.reports import plots as pictures
        from earmark.evaluation.reports import spotting as report

    import numpy as np

    from earmark.evaluation.embedders import Embedder, EncoderEmbedder
    from earmark.models.encoder import load_encoder

    conditions = trials.find_pairs(lists, audio=audio, draws=limit_seeds)
    if target_words is not None:
        conditions = trials.keep_words(conditions, judged.words(target_words, "--target-words"))
    negatives = _background(background, audio, conditions)
    paths = trials.every_path(conditions)
    if scoring is Scoring.detector:
        listening = EncoderEmbedder(load_encoder(encoder))
        scored = _streams(conditions, audio, listening.encoder)
        shown = [clip.path for clip in pictures.clips_to_map(conditions, seed=seed)]
        embedder: Embedder = listening
        vectors = judged.embed(embedder, shown, audio)
    else:
        embedder = judged.load(encoder, spoken=spoken)
        vectors = judged.embed(embedder, [*paths, *negatives], audio)
        rows = np.stack([vectors[path] for path in negatives]) if negatives else None
        scored = protocol.score_vectors(conditions, vectors, backend=backend.value, background=rows)
    speakers = trials.speakers_of(audio, paths)
    results = protocol.compute_metrics(scored, speakers=speakers, rng=np.random.default_rng(seed))

    name = lists.resolve().name
    out = out or Path("runs") / f"few-shot-{name}-{embedder.name}"
    out.mkdir(parents=True, exist_ok=True)
    table = report.table({embedder.name: results}, peers=() if target_words else report.peers_for(name))
    (out / "table.md").write_text(table, encoding="utf-8")
    report.write_results(
        out / "results.json",
        results,
        command=["earmark", *sys.argv[1:]],
        encoder=embedder.name,
        fingerprint=embedder.fingerprint,
        lists=name,
        scoring=scoring.value,
        backend=backend.value,
    )
    by = backend.value if scoring is Scoring.clip else scoring.value
    title = f"{embedder.name} on {name}, {by}"
    pictures.draw_few_shot(out, scored, vectors, title=title, seed=seed)
    _print(results, title, out)


def _check(
    encoder: str | None, scoring: Scoring, backend: Backend, background: Path | None, spoken: bool | None
) -> None:
    """Refuse options that do not go together, before the work starts."""
    if scoring is Scoring.detector:
        if judged.is_checkpoint(encoder):
            raise InputError(f"--scoring detector: {encoder} is a checkpoint; run earmark export, and name the .onnx")
        if spoken is not None or backend is not Backend.prototype:
            raise InputError("--whole and --backend: for --scoring clip only; the detector finds speech itself")
    if background is not None and backend is not Backend.svm:
        raise InputError("--background: for --backend svm only; the others compare with the takes alone")


def _background(path: Path | None, audio: Path, conditions: "Mapping[str, tuple[ListPair, ...]]") -> list[str]:
    """The clips of a background list, checked against the lists.

    Raises:
        InputError: a clip that says a keyword, or that a list names too.
    """
    from earmark.evaluation.protocols.trials import every_path, read_list

    if path is None:
        return []
    named = set(every_path(conditions))
    keywords = {word for pairs in conditions.values() for pair in pairs for word in pair.keywords}
    clips = read_list(path, audio=audio)
    for clip in clips:
        if clip.label in keywords:
            raise InputError(f"{path}: {clip.path} says the keyword {clip.label!r}; background says none")
        if clip.path in named:
            raise InputError(f"{path}: {clip.path} stands in the trial lists too; remove it from one")
    return [clip.path for clip in clips]


def _streams(conditions: "Mapping[str, tuple[ListPair, ...]]", audio: Path, encoder: "Encoder") -> "protocol.Scored":
    from earmark.evaluation.protocols import few_shot as protocol

    with console.progress_bar() as progress:
        return protocol.score_streams(conditions, audio, encoder, progress=partial(progress, "detecting in clips"))


def _print(results: "Sequence[protocol.ConditionResult]", title: str, out: Path) -> None:
    from earmark.evaluation.protocols.few_shot import METRICS
    from earmark.evaluation.reports import spotting as report

    columns = ["lists", *(f">{METRICS[column]} (%)" for column in report.COLUMNS)]
    rows = [
        [f"{result.name} × {len(result.lists)}", *(report.spread_text(result, column) for column in report.COLUMNS)]
        for result in results
    ]
    console.print_table(columns, rows, title)
    console.say(f"wrote {out}")
