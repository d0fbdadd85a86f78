"""Report of a comparison: a Markdown page with tables and figures, and all numbers as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from earmark.core.report import heading, number_text, table, write_page, write_results
from earmark.evaluation.plots import save
from earmark.training.compare.columns import columns_of, is_cost, title_of
from earmark.training.compare.plots import plot_learning, plots_of
from earmark.training.compare.protocol import Protocol
from earmark.training.compare.results import OPEN_SET
from earmark.training.compare.runs import Run
from earmark.training.compare.summary import LEVEL, Average, Row, Summary


def write_report(
    summary: Summary, protocol: Protocol, runs: Sequence[Run], out: Path, *, command: Sequence[str] = ()
) -> Path:
    """Write the report of a comparison into the folder `out`: ``report.md``, ``results.json`` and the figures.

    Returns:
        The path of ``report.md``.
    """
    out.mkdir(parents=True, exist_ok=True)
    document = heading("comparison", command)
    blocks = [f"# {protocol.title}", _method(runs), f"    {document['command']}" if command else ""]
    for number, (test, condition) in enumerate(summary.tests, start=1):
        blocks += [
            f"## {test}" if condition == OPEN_SET else f"## {test}: {condition}",
            _table(summary, test, condition),
        ]
        for kind, figure in plots_of(summary, test, condition).items():
            save(figure, out / f"{kind}-{number}.png")
            blocks.append(f"![{kind} of {test}, {condition}]({kind}-{number}.png)")
    if any(steps for seeds in summary.learning.values() for steps, _ in seeds):
        save(plot_learning(summary), out / "learning.png")
        blocks += ["## Learning", "EER on the validation clips after each checkpoint.", "![learning](learning.png)"]
    report = out / "report.md"
    write_page(report, *blocks)
    document |= {
        "protocol": protocol.title,
        "seeds": sorted({run.seed for run in runs}),
        "results": [_json(row, numbers) for row, numbers in summary.numbers.items()],
        "learning": summary.learning,
    }
    write_results(out / "results.json", document)
    return report


def average_text(average: Average, *, percent: bool = True) -> str:
    """Format the mean of an average, and half the width of its interval, as `mean ± margin`."""
    return number_text(average.mean, margin=average.margin, percent=percent)


def _method(runs: Sequence[Run]) -> str:
    seeds = sorted({run.seed for run in runs})
    steps = sorted({run.recipe.optimizer.steps for run in runs})
    chosen = sorted({run.recipe.choose for run in runs})
    best = "; the best checkpoint is chosen on validation clips, never on test clips" if "best" in chosen else ""
    return (
        f"{len({run.system for run in runs})} systems, {len(seeds)} seeds each, "
        f"{' or '.join(map(str, steps))} training steps. Mean over the seeds ± half the {100 * LEVEL:.0f} % "
        f"interval of that mean (Student's t). The {' or '.join(chosen)} checkpoint of each run is evaluated{best}."
    )


def _table(summary: Summary, test: str, condition: str) -> str:
    columns, names = columns_of(condition)
    rows = [
        [row.system, row.backend, *(average_text(numbers[name], percent=not is_cost(name)) for name in columns)]
        for row, numbers in summary.of(test, condition).items()
    ]
    return table(["system", "back-end", *(f">{title_of(names[name], name)}" for name in columns)], rows)


def _json(row: Row, numbers: Mapping[str, Average]) -> dict[str, object]:
    averages = {
        name: {"mean": average.mean, "margin": average.margin, "seeds": average.values}
        for name, average in numbers.items()
    }
    return vars(row) | {"numbers": averages}
