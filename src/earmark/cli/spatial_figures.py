"""`earmark spatial-figures`: draw the pictures of a simulation that has run."""

from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.core.errors import needs


@command(
    panel="Evaluation and comparison", example="earmark spatial-figures runs/humayun-arabic --cost --out docs/figures"
)
def spatial_figures(
    run: Annotated[Path, typer.Argument(help="Folder of a run of earmark spatial.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Where the pictures go.", show_default="the run's folder")] = None,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="Measure, too, how long positions take, and write cost.csv; about a minute."),
    ] = False,
    dpi: Annotated[int, typer.Option(min=20, help="Dots an inch.")] = 150,
) -> None:
    """Draw precision and recall of each word, their differences, and class means, from the repetitions of a run."""
    with needs("evaluate"):
        from earmark.evaluation.simulation.plots import COSTS, draw_simulation, read_repetitions

    read_repetitions(run)  # what is wrong with the folder is said before the minute
    if cost:
        _measure(run / COSTS)
    for path in draw_simulation(run, out, dpi=dpi):
        console.say(f"wrote {path}")


def _measure(path: Path) -> None:
    with needs("train"):
        from earmark.evaluation.simulation.costs import write_costs
        from earmark.training.spatial.cost import SIZES, measure_cost

    with console.progress_bar() as progress:
        finished = count(1)
        write_costs(path, measure_cost(SIZES, on_done=lambda _: progress("measuring", next(finished), len(SIZES))))
