"""What a probe leaves behind: tables for people, `results.json` for machines, pictures."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from earmark.evaluation import plots
from earmark.evaluation.protocols.few_shot import Spread
from earmark.evaluation.protocols.probe.predictions import Predictions, ProbeResult, labels_text, rates_of
from earmark.evaluation.protocols.probe.rates import METRICS
from earmark.evaluation.reports.spotting import heading, table_row, write_document

FILES = ("per-word.png", "confusion.png")


def table(results: Sequence[ProbeResult], *, system: str) -> str:
    """Markdown: a row a number of labels with every number, then a row a word.

    Args:
        results: from `predictions.compute_metrics`.
        system: encoder and classifier.

    Returns:
        Lines that end in a line break.
    """
    lines = [
        table_row(["labels", "system", *(f"{name} (%)" for name in METRICS.values())]),
        table_row(["---", "---", *["---:"] * len(METRICS)]),
        *(
            table_row([result.name, system, *(spread_text(result.numbers[key]) for key in METRICS)])
            for result in results
        ),
        "",
        "Mean ± standard deviation over the repetitions; in brackets the 95 % interval of the mean over test speakers.",
    ]
    for result in results:
        lines += [
            "",
            table_row([f"word, {result.name}", "precision (%)", "recall (%)", "test clips"]),
            table_row(["---", "---:", "---:", "---:"]),
        ]
        for word, one in result.words.items():
            lines.append(table_row([word, spread_text(one.precision), spread_text(one.recall), f"{one.clips:g}"]))
    return "\n".join(lines) + "\n"


def spread_text(spread: Spread) -> str:
    """A number as percent.

    >>> spread_text(Spread(0.5, 0.02, 0.45, 0.56)), spread_text(Spread(0.5, math.nan, math.nan, math.nan))
    ('50.0 ± 2.0 (45.0–56.0)', '50.0')
    """
    if math.isnan(spread.mean):
        return "–"
    sd = "" if math.isnan(spread.sd) else f" ± {100 * spread.sd:.1f}"
    interval = "" if math.isnan(spread.low) else f" ({100 * spread.low:.1f}–{100 * spread.high:.1f})"
    return f"{100 * spread.mean:.1f}{sd}{interval}"


def write_results(
    path: Path,
    results: Sequence[ProbeResult],
    *,
    command: Sequence[str],
    encoder: str,
    fingerprint: str,
    lists: str,
    classifier: str,
    seed: int,
) -> None:
    """Write `results.json`: every number, as fractions; NaN becomes null.

    Args:
        path: of the file.
        results: from `predictions.compute_metrics`.
        command: the words of the command line.
        encoder: its name.
        fingerprint: of the encoder's file.
        lists: what was judged on.
        classifier: what learned from the labels.
        seed: of splits and classifier.
    """
    document = {
        **heading("probe", command, encoder, fingerprint, lists),
        "classifier": classifier,
        "seed": seed,
        "numbers": METRICS,
        "results": [{"name": result.name, **asdict(result)} for result in results],
    }
    write_document(path, document)


def draw(folder: Path, predictions: Sequence[Predictions], results: Sequence[ProbeResult], *, title: str = "") -> None:
    """Write the pictures: precision and recall of each word, and what was taken for what.

    Args:
        folder: where to.
        predictions: from `predictions.answer`.
        results: what they gave.
        title: above each picture.
    """
    rates = {labels_text(result.labels): rates_of(predictions, result.labels) for result in results}
    plots.save(plots.per_word_plot(rates, title=title), folder / FILES[0])
    taken = {result.name: result.confusion for result in results}
    plots.save(plots.confusion_plot(taken, title=title), folder / FILES[1])
