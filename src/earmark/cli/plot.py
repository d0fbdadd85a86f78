"""`earmark plot`: draw the figures of finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import App
from earmark.core.errors import needs

app = App(name="plot", panel="Evaluation and comparison", help="Draw the figures of finished runs.")


@app.command(epilog="Example: [bold]earmark plot spatial runs/humayun --cost --out figures[/bold]")
def spatial(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of earmark spatial.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the figures; RUN if not given.")] = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Also measure the CPU time of positions; takes about a minute.")
    ] = False,
    dpi: Annotated[int, typer.Option(min=20, help="Dots per inch.")] = 150,
) -> None:
    """Draw precision and recall of each word, their differences, and class means, from the repetitions of a run."""
    with needs("evaluate"):
        from earmark.evaluation.simulation.plots import COSTS, draw_simulation, read_repetitions

    read_repetitions(run)  # finds faults of the folder before the measurement
    if cost:
        _measure_cost(run / COSTS)
    for path in draw_simulation(run, out, dpi=dpi):
        console.say(f"wrote {path}")


def _measure_cost(path: Path) -> None:
    with needs("train"):
        from earmark.evaluation.simulation.costs import write_costs
        from earmark.training.spatial.cost import measure_cost

    with console.progress_bar() as progress:
        write_costs(path, measure_cost(progress=progress))
