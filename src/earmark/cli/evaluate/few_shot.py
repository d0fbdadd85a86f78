"""`earmark evaluate few-shot`: enroll keywords from a few clips, and test them on others."""

from collections.abc import Mapping
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
    from earmark.evaluation.protocols.few_shot import FewShotSettings, Scored
    from earmark.evaluation.protocols.trials import ListPair


@command(example="earmark evaluate few-shot trials/gsc10 --audio speech_commands_test")
@options_from(
    "earmark.evaluation.protocols.few_shot:FewShotSettings",
    flags={"target_words": Flag(metavar="WORD,WORD", separator=","), "draws": "--limit-seeds"},
)
def few_shot(
    lists: Annotated[Path, typer.Argument(help="Folder of enroll_*.txt and test_*.txt with lines 'label path'.")],
    audio: Annotated[Path, typer.Option(help="Folder that the paths in the lists are relative to.")],
    settings: "FewShotSettings",
    encoder: encoders.EncoderOption = None,
    background: Annotated[
        Path | None,
        typer.Option(
            metavar="LIST", help="Clips without keywords, as negatives of the SVMs: a list with lines 'label path'."
        ),
    ] = None,
    spoken: encoders.SpokenOption = None,
    out: OutOption = None,
) -> None:
    """Enroll keywords from a few clips and test on others; writes table.md, results.json and five plots."""
    _check(settings, encoder, background, spoken)
    with needs("evaluate"):
        from earmark.evaluation.protocols import few_shot as protocol
        from earmark.evaluation.protocols import trials
        from earmark.evaluation.reports import few_shot as report
        from earmark.evaluation.reports import plots

    import numpy as np

    conditions = trials.find_pairs(lists, audio=audio, draws=settings.draws)
    if settings.target_words is not None:
        conditions = trials.keep_words(conditions, settings.target_words)
    negatives = _background(background, audio, conditions)
    embedder, vectors, scored = _score(settings, conditions, negatives, audio, encoder, spoken)
    speakers = trials.speakers_of(audio, trials.every_path(conditions))
    results = protocol.compute_metrics(scored, speakers=speakers, rng=np.random.default_rng(settings.seed))

    name = lists.resolve().name
    folder = results_folder(out, "few-shot", name, embedder.name)
    peers = () if settings.target_words else report.peers_for(name)
    write_report(
        folder,
        "few-shot",
        report.markdown({embedder.name: results}, peers),
        {"scoring": settings.scoring, "backend": settings.backend, **report.document(results)},
        encoder=identity(embedder),
        lists=name,
    )
    method = settings.backend if settings.scoring == "clip" else settings.scoring
    title = f"{embedder.name} on {name}, {method}"
    plots.draw_few_shot(folder, scored, vectors, title=title, seed=settings.seed)
    print_results(report.COLUMNS, report.rows(results), title, folder)


def _check(settings: "FewShotSettings", encoder: str | None, background: Path | None, spoken: bool | None) -> None:
    """Raise an error for options that exclude each other, before the encoder is loaded."""
    if settings.scoring == "detector":
        if encoders.is_checkpoint(encoder):
            raise InputError(f"the detector needs an .onnx file; export {encoder} with earmark export", key="scoring")
        if spoken is not None:
            raise InputError(
                "the detector finds speech itself; drop --spoken and --whole, or choose --scoring clip", key="spoken"
            )
    if background is not None and settings.backend != "svm":
        raise InputError(
            "only the backend svm uses background clips; drop --background, or choose --backend svm", key="background"
        )


def _score(
    settings: "FewShotSettings",
    conditions: "Mapping[str, tuple[ListPair, ...]]",
    negatives: list[str],
    audio: Path,
    encoder: str | None,
    spoken: bool | None,
) -> "tuple[Embedder, dict[str, Floats], Scored]":
    """Score all conditions; returns the embedder, embeddings by path (at least of the projected clips), the scores."""
    import numpy as np

    from earmark.evaluation.embedders import EncoderEmbedder
    from earmark.evaluation.protocols import few_shot as protocol
    from earmark.evaluation.protocols.trials import every_path
    from earmark.evaluation.reports.plots import projected_clips
    from earmark.models.encoder import load_encoder

    if settings.scoring == "detector":
        embedder = EncoderEmbedder(load_encoder(encoder))
        with console.progress_bar() as progress:
            scored = protocol.score_streams(conditions, audio, embedder.encoder, progress=progress)
        shown = [clip.path for clip in projected_clips(conditions, seed=settings.seed)]
        return embedder, encoders.embed(embedder, shown, audio), scored
    chosen = encoders.load(encoder, spoken=spoken)
    vectors = encoders.embed(chosen, [*every_path(conditions), *negatives], audio)
    background = np.stack([vectors[path] for path in negatives]) if negatives else None
    return chosen, vectors, protocol.score_vectors(conditions, vectors, backend=settings.backend, background=background)


def _background(path: Path | None, audio: Path, conditions: "Mapping[str, tuple[ListPair, ...]]") -> list[str]:
    """Read a background list; returns the paths of its clips.

    Raises:
        InputError: a clip has a keyword, or is in a trial list too.
    """
    from earmark.evaluation.protocols.trials import every_path, read_list

    if path is None:
        return []
    named = set(every_path(conditions))
    keywords = {word for pairs in conditions.values() for pair in pairs for word in pair.keywords}
    clips = read_list(path, audio=audio)
    for clip in clips:
        if clip.label in keywords:
            raise InputError(f"{path}: {clip.path} has the keyword {clip.label!r}; remove it from the background list")
        if clip.path in named:
            raise InputError(f"{path}: {clip.path} is in the trial lists too; remove it from {path}")
    return [clip.path for clip in clips]
