"""`earmark spatial`: do features learned from unlabeled clips beat MFCC where labels are few?"""

from itertools import count as counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.core.errors import needs

if TYPE_CHECKING:
    from earmark.training.compare.summary import Average

# Repetitions from which on an interval is shown: Student's t for two is so wide that it says nothing.
_ENOUGH = 3


@command(
    panel="Evaluation and comparison",
    example="earmark spatial recipes/humayun/arabic.toml --set repetitions=2 --run runs/short",
)
def spatial(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A recipe of kind spatial, .toml.", show_default=False)
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value for a key of the recipe; may be repeated.",
            show_default="",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for results and encoders.", show_default="runs/<name>"),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Repetitions at a time, each on a core of its own.")] = 1,
    check: Annotated[
        bool, typer.Option("--check", help="Report every fault of the recipe and of what it names; train nothing.")
    ] = False,
) -> None:
    """Learn features from unlabeled clips, with and without their position, and words from few labels; beside MFCC.

    Each repetition draws the clips anew. It adds a row to results.csv, in fractions, and keeps its encoders, which
    every evaluation takes by --encoder. Pictures of the words and of class means lie beside it. A run that was
    stopped goes on when the same command is given again.
    """
    with needs("train"):
        from earmark.evaluation.simulation.plots import draw_simulation
        from earmark.training.spatial.pools import check_pools, prepare_pools
        from earmark.training.spatial.settings import read_spatial
        from earmark.training.spatial.simulation import NUMBERS, SYSTEMS, gain, simulate, summarize

    settings = read_spatial(recipe, overrides or [])
    folder = run or Path("runs") / settings.name
    if check:
        check_pools(settings.data)
        console.say(f"{recipe}: no fault found")
        return
    console.say(f"{settings.name}: {settings.repetitions} repetitions in {folder}")
    # Under bars of its own, which the one below would hide.
    pools = prepare_pools(settings.data, settings.autoencoder.encoder)
    with console.progress_bar() as progress:
        finished = counter(1)
        progress("repetitions", 0, settings.repetitions)

        def show(number: int, stage: str, epoch: int, most: int, loss: float) -> None:
            progress(f"repetition {number}: {stage} (loss {loss:.4g})", epoch, most)

        def done(_number: int) -> None:
            progress("repetitions", next(finished), settings.repetitions)

        repetitions = simulate(settings, folder, pools=pools, jobs=jobs, report=show, on_done=done)
    summary = summarize(repetitions)
    rows = [[SYSTEMS[stage], *(_percent(numbers[name]) for name in NUMBERS)] for stage, numbers in summary.items()]
    count = len(repetitions)
    interval = ", with the 95 % interval of the mean" if count >= _ENOUGH else f"; from {_ENOUGH} on with an interval"
    title = f"{count} repetition{'s' * (count > 1)}, in %{interval}"
    console.print_table(["system", ">error", ">precision", ">recall"], rows, title)
    for than in ("mfcc", "plain"):
        won = gain(repetitions, "spatial", than)
        console.say(f"accuracy of {SYSTEMS['spatial']} over {SYSTEMS[than]}: {_percent(won, least=-1.0)} points")
    pictures = draw_simulation(folder)
    console.say(f"wrote {folder / 'results.csv'} and {len(pictures)} pictures")
    console.say(f"try it: earmark evaluate few-shot LISTS --audio FOLDER --encoder {folder / 'spatial-01.safetensors'}")


def _percent(average: "Average", least: float = 0.0) -> str:
    """A mean between `least` and 1, with its interval where that is of possible values alone."""
    text, margin = f"{100 * average.mean:.1f}", average.margin
    if len(average.values) < _ENOUGH or not least <= average.mean - margin <= average.mean + margin <= 1:
        return text
    return f"{text} ± {100 * margin:.1f}"
