"""`earmark spatial`: compare features that are learned from unlabeled clips with MFCC, where labels are few."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.options import Check, Overrides
from earmark.core.errors import needs

if TYPE_CHECKING:
    from earmark.training.compare.summary import Average

# With fewer repetitions, Student's interval is wider than all possible values.
_LEAST_FOR_INTERVAL = 3


@command(
    panel="Evaluation and comparison",
    example="earmark spatial recipes/humayun/arabic.toml --set repetitions=2 --run runs/short",
)
def spatial(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe of kind spatial, .toml.")],
    overrides: Overrides = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for results and encoders; runs/NAME if not given."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Repetitions at the same time, each on one core.")] = 1,
    check: Check = False,
) -> None:
    """Learn features from unlabeled clips, with and without positions, and compare them with MFCC on few labels.

    Each repetition draws the clips again, adds a row to results.csv (fractions), and saves its encoders, which
    `earmark evaluate` opens by --encoder. Figures are drawn at the end. The same command resumes a stopped run.
    """
    with needs("train"):
        from earmark.evaluation.simulation.plots import draw_simulation
        from earmark.training.spatial.pools import check_pools
        from earmark.training.spatial.settings import read_spatial
        from earmark.training.spatial.simulation import NUMBERS, SYSTEMS, gain, simulate, summarize

    settings = read_spatial(recipe, overrides or [])
    folder = run or Path("runs") / settings.name
    if check:
        check_pools(settings.data)
        console.say(f"{recipe}: no fault found")
        return
    console.say(f"{settings.name}: {settings.repetitions} repetitions in {folder}")
    with console.progress_bar() as progress:
        repetitions = simulate(settings, folder, jobs=jobs, progress=progress)
    summary = summarize(repetitions)
    rows = [
        [SYSTEMS[system], *(percent_text(numbers[name]) for name in NUMBERS)] for system, numbers in summary.items()
    ]
    count = len(repetitions)
    interval = ", with the 95 % interval of the mean" if count >= _LEAST_FOR_INTERVAL else ""
    title = f"{count} repetition{'s' * (count > 1)}, in %{interval}"
    console.print_table(["system", ">error", ">precision", ">recall"], rows, title)
    for than in ("mfcc", "plain"):
        difference = percent_text(gain(repetitions, "spatial", than), least=-1.0)
        console.say(f"accuracy of {SYSTEMS['spatial']} minus that of {SYSTEMS[than]}: {difference} points")
    figures = draw_simulation(folder)
    console.say(f"wrote {folder / 'results.csv'} and {len(figures)} figures")
    console.say(f"try it: earmark evaluate few-shot LISTS --audio FOLDER --encoder {folder / 'spatial-01.safetensors'}")


def percent_text(average: "Average", least: float = 0.0) -> str:
    """Format a mean in percent, with its confidence interval if all of the interval is between `least` and 1."""
    text, margin = f"{100 * average.mean:.1f}", average.margin
    is_possible = least <= average.mean - margin <= average.mean + margin <= 1
    if len(average.values) < _LEAST_FOR_INTERVAL or not is_possible:
        return text
    return f"{text} ± {100 * margin:.1f}"
