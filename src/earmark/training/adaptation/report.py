"""Report of an adaptation: `report.md`, `results.json`, a plot, and texts for the terminal."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from earmark.core.errors import writing
from earmark.core.report import heading, table, write_page, write_results
from earmark.evaluation.plots import save
from earmark.evaluation.plots.rounds import rounds_plot
from earmark.training.adaptation.dataset import Dataset
from earmark.training.adaptation.self_training import AdaptationResult, Round, metric_text

_UNITS = {"map": (100.0, "MAP (%)"), "held_out_loss": (1.0, "loss on held-out pairs")}
_COLUMNS = {"map": ">MAP (%)", "map_at_r": ">MAP@R (%)", "held_out_loss": ">held-out loss"}


def dataset_line(dataset: Dataset) -> str:
    """Describe the speech, speakers or recordings, and segments of a dataset in one line of text."""
    held_out = f", {dataset.held_out.units} of them held out" if dataset.held_out else ""
    units = f"{dataset.units} {dataset.unit}{held_out}"
    if dataset.unit != "recordings":
        units = f"{dataset.recordings} recordings of {units}"
    return f"{dataset.speech_s / 60:.1f} min of speech in {units}; {dataset.training.count:,} segments to mine"


def round_line(finished: Round, watch: str) -> str:
    """Describe the pairs, the metric and the duration of a round in one line; `watch` is the metric's name."""
    return (
        f"round {finished.number}: {finished.pairs:,} pairs with a cosine of {finished.threshold:.2f} or more, from "
        f"{100 * finished.coverage:.0f} % of the segments; {metric_text(watch, finished.before, finished.numbers)}, "
        f"{'kept' if finished.is_better else 'not kept'}; {finished.minutes:.1f} min"
    )


def summary(result: AdaptationResult) -> Iterator[str]:
    """Yield lines of text for the terminal: the best round, its metric, the calibration, and the files."""
    if result.kept:
        better = metric_text(result.watch, result.start, result.rounds[result.kept - 1].numbers)
        yield f"round {result.kept} is the best: {better}"
    else:
        yield "no round is better than the initialization, which is the result"
    if result.checkpoint is not None:
        yield f"wrote {result.checkpoint}"
    if result.encoder is not None:
        yield f"wrote {result.encoder}"
        if result.calibration is not None:
            hours, like = (result.calibration.details[key] for key in ("keyword_hours", "as_often_as"))
            yield f"calibrated on {hours:g} keyword-hours: it detects as often as {like}"
        else:
            yield f"not calibrated ({result.uncalibrated}): it can search, but not enroll keywords"
        yield f"try it: earmark index FOLDER --index PATH --encoder {result.encoder}"
    yield f"report: {result.out / 'report.md'}"


def write_report(result: AdaptationResult, corpus: str, command: Sequence[str]) -> None:
    """Write the report of an adaptation into its folder: `report.md`, `rounds.png` and, last, `results.json`.

    Args:
        result: result of the adaptation.
        corpus: name of the corpus.
        command: words of the command line.

    Raises:
        EarmarkError: the files cannot be written.
    """
    scale, words = _UNITS[result.watch]
    values = [scale * numbers[result.watch] for numbers in _metrics(result)]
    with writing(result.out):
        save(rounds_plot(values, result.kept, ylabel=words, title=corpus), result.out / "rounds.png")
        write_page(result.out / "report.md", *_page(result, corpus, command))
        write_results(result.out / "results.json", _document(result, corpus, command))


def _page(result: AdaptationResult, corpus: str, command: Sequence[str]) -> Iterator[str]:
    dataset = result.dataset
    yield f"# {corpus}: adapted from {result.initialization}"
    yield f"`{shlex.join(command)}`"
    amount = f"{dataset.speech_s / 60:.1f} min of speech in {dataset.recordings} recordings."
    yield f"{amount} {_validation_text(result)}"
    yield _rounds_table(result)
    yield "![Metric by round](rounds.png)"
    yield "\n".join(f"- {line}" for line in summary(result))
    yield "## Steps"
    yield (
        "The report of each mining is `round-N/pairs/report.md`, the log of each training `round-N/run/log.jsonl`.\n"
        "These commands repeat each step; give each another `--out` or `--run`:"
    )
    yield "```bash\n" + "\n".join(shlex.join(words) for words in result.commands) + "\n```"


def _validation_text(result: AdaptationResult) -> str:
    if result.watch == "map":
        return "The best encoder is chosen by the MAP of labeled segments, across speakers if there are several."
    held_out = result.dataset.held_out
    assert held_out is not None
    return (
        f"{held_out.units} {result.dataset.unit} are held out. The best encoder is chosen by the loss on pairs that "
        "the initialization mined among them."
    )


def _rounds_table(result: AdaptationResult) -> str:
    keys = [key for key in _COLUMNS if key in result.start]
    columns = ["encoder", *(_COLUMNS[key] for key in keys), ">pairs", ">cosine from", ">coverage", ">minutes", ""]
    rows = [["start", *_cells(result.start, keys), "", "", "", "", "" if result.kept else "**kept**"]]
    for one in result.rounds:
        mined = [f"{one.pairs:,}", f"{one.threshold:.2f}", f"{100 * one.coverage:.1f} %", f"{one.minutes:.1f}"]
        kept = "**kept**" if one.number == result.kept else ""
        rows.append([f"round {one.number}", *_cells(one.numbers, keys), *mined, kept])
    return table(columns, rows)


def _cells(numbers: Mapping[str, float], keys: Sequence[str]) -> list[str]:
    return [f"{numbers[key]:.3f}" if key == "held_out_loss" else f"{100 * numbers[key]:.1f}" for key in keys]


def _metrics(result: AdaptationResult) -> list[Mapping[str, float]]:
    return [result.start, *(one.numbers for one in result.rounds)]


def _document(result: AdaptationResult, corpus: str, command: Sequence[str]) -> dict[str, object]:
    keys = ("numbers", "pairs", "coverage", "threshold", "minutes", "is_better")
    return {
        **heading("adaptation", command, encoder=(result.initialization, ""), lists=corpus),
        "watch": result.watch,
        "speech_s": round(result.dataset.speech_s, 2),
        "recordings": result.dataset.recordings,
        "start": dict(result.start),
        "rounds": [{key: asdict(one)[key] for key in keys} for one in result.rounds],
        "kept": result.kept,
        "commands": [shlex.join(words) for words in result.commands],
    }
