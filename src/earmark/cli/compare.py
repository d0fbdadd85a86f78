"""`earmark compare`: train a grid of recipes, encoders and seeds, evaluate all runs, and write one report."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.options import Check, Device, Overrides
from earmark.core.errors import needs
from earmark.core.progress import follow


@command(
    panel="Evaluation and comparison",
    example="earmark compare recipes/compare/new-words --protocol recipes/compare/new-words-protocol.toml --seeds 3",
)
def compare(
    recipes: Annotated[list[Path], typer.Argument(metavar="RECIPE...", help="Recipes, .toml, or folders of them.")],
    protocol: Annotated[
        Path, typer.Option(metavar="FILE", help="Evaluation protocol, .toml: the lists and back-ends to test with.")
    ],
    encoders: Annotated[
        list[Path] | None,
        typer.Option(
            "--encoder",
            metavar="FILE",
            help="A .toml file with a table \\[encoder], which replaces that of each recipe; may be repeated.",
        ),
    ] = None,
    overrides: Overrides = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of runs of each recipe and encoder, with the seeds 1, 2, …")
    ] = 3,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for runs and report; runs/PROTOCOL if not given."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Number of runs to train at the same time.")] = 1,
    device: Device = None,
    check: Check = False,
) -> None:
    """Train recipes × encoders × seeds, evaluate every run by one protocol, and write a report with tables and plots.

    Finished runs and results are kept: the same command resumes, and a command with more recipes or seeds trains only
    the new runs.
    """
    with needs("train"):
        from earmark.training.compare.evaluator import Evaluator
        from earmark.training.compare.protocol import read_protocol
        from earmark.training.compare.report import write_report
        from earmark.training.compare.runs import check_runs, plan_runs, train_runs
        from earmark.training.compare.summary import summarize
        from earmark.training.loop import chosen_checkpoint

    tests = read_protocol(protocol)
    evaluator = Evaluator(tests)
    folder = out or Path("runs") / protocol.stem
    runs = plan_runs(recipes, range(1, seeds + 1), folder, encoders=encoders or [], overrides=overrides or [])
    check_runs(runs, device=device)
    if check:
        console.say(f"{protocol}: no fault found in {len(runs)} runs")
        return
    with console.progress_bar() as progress:
        finished = train_runs(runs, device=device, jobs=jobs, progress=progress)
        for run in follow(finished, "training runs", progress, total=len(runs)):
            console.say(f"trained {run.system}, seed {run.seed}")
        results = {
            run: evaluator.evaluate(chosen_checkpoint(run.recipe, run.folder), progress=progress)
            for run in follow(runs, "evaluating", progress)
        }
    report = write_report(summarize(results), tests, runs, folder, command=["earmark", *sys.argv[1:]])
    console.say(f"wrote {report}")
