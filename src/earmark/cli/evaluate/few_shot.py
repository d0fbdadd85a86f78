"""`earmark evaluate`: how good an encoder is on trial lists."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options
from earmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from earmark.encoder import Encoder
    from earmark.evaluation import few_shot
    from earmark.evaluation.trials import ListPair

app = typer.Typer(name="evaluate", no_args_is_help=True, help="Measure how good an encoder is on lists of recordings.")


class Scoring(StrEnum):
    """What the score of a clip is."""

    clip = "clip"
    detector = "detector"


class Takes(StrEnum):
    """How several takes of a keyword give one score."""

    prototype = "prototype"
    best_take = "best-take"


@app.callback()
def _group() -> None:
    """Keeps `few-shot` a word of its own while it is the only command."""


@app.command(
    "few-shot", epilog="Example: [bold]earmark evaluate few-shot trials/gsc10 --audio speech_commands_test[/bold]"
)
def few_shot_command(
    lists: Annotated[Path, typer.Argument(help="Folder of enroll_*.txt and test_*.txt, one 'label path' a line.")],
    audio: Annotated[Path, typer.Option(help="Folder that the paths in the lists start from.")],
    encoder: options.EncoderName = None,
    scoring: Annotated[
        Scoring, typer.Option(help="clip: a clip is one vector; detector: the best score of the live detector.")
    ] = Scoring.clip,
    takes: Annotated[
        Takes, typer.Option(help="Compare with the mean of the takes or with the best (clip).")
    ] = Takes.prototype,
    spoken: Annotated[
        bool, typer.Option("--spoken/--whole", help="Embed the spoken part of a clip, or all of it (clip).")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Results folder; runs/few-shot-<lists>-<encoder> unless given.")
    ] = None,
    limit_seeds: Annotated[int | None, typer.Option(min=1, help="Only the first lists of each condition.")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap over speakers.")] = 0,
) -> None:
    """Enrol keywords from a few clips, test on others; writes table.md, det.png, scores.png and results.json."""
    if scoring is Scoring.detector and (not spoken or takes is not Takes.prototype):
        raise InputError("--whole and --takes: for --scoring clip only; the detector finds speech itself")
    plots = _plots()
    import numpy as np

    from earmark.encoder import load_encoder
    from earmark.evaluation import few_shot, report, trials

    conditions = trials.find_pairs(lists, audio=audio, draws=limit_seeds)
    loaded = load_encoder(encoder)
    name = lists.resolve().name
    out = out or Path("runs") / f"few-shot-{name}-{loaded.name}"
    scored = _score(conditions, audio, loaded, scoring, takes, spoken)
    results = few_shot.measure(scored, speakers=_speakers(audio), rng=np.random.default_rng(seed))
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(report.table({loaded.name: results}, peers=report.peers_for(name)), encoding="utf-8")
    report.write_results(
        out / "results.json",
        results,
        command=["earmark", *sys.argv[1:]],
        encoder=loaded.name,
        fingerprint=loaded.fingerprint,
        lists=name,
        scoring=scoring.value,
    )
    title = f"{loaded.name} on {name}, scored by {scoring.value}"
    plots.save(plots.det_plot(scored, title=title), out / "det.png")
    plots.save(plots.score_plot(scored, title=title), out / "scores.png")
    _print(results, title, out)


def _score(
    conditions: "Mapping[str, tuple[ListPair, ...]]",
    audio: Path,
    encoder: "Encoder",
    scoring: Scoring,
    takes: Takes,
    spoken: bool,
) -> "few_shot.Scored":
    from earmark.evaluation import few_shot
    from earmark.evaluation.embedders import embed_speech

    with console.progress_bar() as bar:
        task = bar.add_task("scoring clips", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if scoring is Scoring.detector:
            return few_shot.score_streams(conditions, audio, encoder, progress=progress)
        embed = embed_speech(encoder) if spoken else encoder.embed
        return few_shot.score_clips(conditions, audio, embed, backend=takes.value, progress=progress)


def _speakers(audio: Path) -> dict[str, str]:
    """Speaker by path where the corpus has a manifest."""
    from earmark.data.manifest import read_manifest

    manifest = audio / "manifest.tsv"
    return {clip.path: clip.speaker for clip in read_manifest(manifest)} if manifest.is_file() else {}


def _print(results: "Sequence[few_shot.ConditionResult]", title: str, out: Path) -> None:
    from earmark.evaluation import report
    from earmark.evaluation.few_shot import NUMBERS

    columns = ["lists", *(f">{NUMBERS[column]} (%)" for column in report.COLUMNS)]
    rows = [
        [f"{result.name} × {len(result.lists)}", *(report.spread_text(result, column) for column in report.COLUMNS)]
        for result in results
    ]
    console.print_table(columns, rows, title)
    console.say(f"wrote {out}")


def _plots() -> "ModuleType":
    """The plots, or the cure where matplotlib is absent; asked before the work starts."""
    try:
        from earmark.evaluation import plots
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name}: not installed; run: pip install 'earmark[plots]'") from None
    return plots
