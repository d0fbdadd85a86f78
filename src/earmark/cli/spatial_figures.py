"""`earmark spatial-figures`: draw the pictures of a simulation that has run."""

from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.extras import needs

EXAMPLE = "Example: [bold]earmark spatial-figures runs/humayun-arabic --out docs/figures[/bold]"


def spatial_figures(
    run: Annotated[Path, typer.Argument(help="Folder of a run of earmark spatial.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Where the pictures go.", show_default="the run's folder")] = None,
    dpi: Annotated[int, typer.Option(min=20, help="Dots an inch.")] = 150,
) -> None:
    """Draw precision and recall of each word, their differences, and class means, from the repetitions of a run."""
    with needs("plots"):
        from earmark.evaluation.simulation_pictures import draw_simulation

    for path in draw_simulation(run, out, dpi=dpi):
        console.say(f"wrote {path}")
