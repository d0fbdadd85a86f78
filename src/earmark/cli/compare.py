"""`earmark compare`: train a grid of recipes, encoders and seeds, judge all alike, and write one report."""

import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.core.errors import needs
from earmark.core.progress import follow

if TYPE_CHECKING:
    from earmark.training.compare.runs import Run


@command(
    panel="Evaluation and comparison",
    example="earmark compare recipes/compare/new-words --protocol recipes/compare/new-words-protocol.toml --seeds 3",
)
def compare(
    recipes: Annotated[
        list[Path], typer.Argument(metavar="RECIPE...", help="Recipes, .toml, or folders of them.", show_default=False)
    ],
    protocol: Annotated[
        Path,
        typer.Option(metavar="FILE", help="What they are judged on, .toml: lists and back-ends.", show_default=False),
    ],
    encoders: Annotated[
        list[Path] | None,
        typer.Option(
            "--encoder",
            metavar="FILE",
            help="A table \\[encoder] to lay over each recipe; may be repeated.",
            show_default="",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for all; may be repeated.", show_default=""),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each recipe with each encoder: seeds 1, 2, ….")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for runs and report.", show_default="runs/<protocol>"),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, …", show_default="cuda where there is one")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Report every fault of the recipes and of what they name; train nothing.")
    ] = False,
) -> None:
    """Train recipes × encoders × seeds, judge every run on one protocol, and write one report with tables and plots.

    What is trained or judged already is kept: the same command goes on where it was stopped, and more recipes or
    seeds cost only themselves.
    """
    with needs("train"):
        from earmark.training.compare.evaluator import Judge
        from earmark.training.compare.protocol import read_protocol
        from earmark.training.compare.report import write_report
        from earmark.training.compare.runs import check_runs, plan_runs, train_runs
        from earmark.training.compare.summary import summarize

    tests = read_protocol(protocol)
    judge = Judge(tests)
    folder = out or Path("runs") / protocol.stem
    runs = plan_runs(recipes, range(1, seeds + 1), folder, encoders=encoders or [], sets=overrides or [])
    check_runs(runs, device=device)
    if check:
        console.say(f"{protocol}: no fault found in {len(runs)} runs")
        return
    with console.progress_bar() as progress:
        finished = count(1)
        progress("training runs", 0, len(runs))

        def trained(run: "Run") -> None:
            progress("training runs", next(finished), len(runs))
            console.say(f"trained {run.system}, seed {run.seed}")

        train_runs(runs, device=device, jobs=jobs, on_done=trained)
    with console.progress_bar() as progress:
        judged = {
            run: judge.judge(run.folder / f"{run.recipe.choose}.safetensors", progress=progress)
            for run in follow(runs, "judging", progress)
        }
    report = write_report(summarize(judged), tests, runs, folder, command=["earmark", *sys.argv[1:]])
    console.say(f"wrote {report}")
