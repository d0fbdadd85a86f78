"""What an adaptation leaves behind: `report.md` for people, `results.json` for machines, and a picture."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from earmark.core.errors import writing
from earmark.core.report import heading, table, write_results
from earmark.evaluation.plots import save
from earmark.evaluation.plots.rounds import rounds_plot
from earmark.training.adaptation.rounds import Adapted, told

_UNITS = {"map": (100.0, "MAP (%)"), "held_out_loss": (1.0, "loss on held-out pairs")}


def summary(adapted: Adapted) -> Iterator[str]:
    """What came out, in a few lines."""
    if adapted.kept:
        better = told(adapted.watch, adapted.start, adapted.rounds[adapted.kept - 1].numbers)
        yield f"round {adapted.kept} is the best: {better}"
    else:
        yield "no round is better than the start: nothing was changed"
    if adapted.checkpoint is not None:
        yield f"wrote {adapted.checkpoint}"
    if adapted.encoder is not None:
        yield f"wrote {adapted.encoder}"
        yield f"try it: earmark index FOLDER --index PATH --encoder {adapted.encoder}"
    yield f"report: {adapted.out / 'report.md'}"


def write(adapted: Adapted, corpus: str, command: Sequence[str]) -> None:
    """Write `report.md`, `results.json` and `rounds.png`; the results come last.

    Args:
        adapted: what came out.
        corpus: what to call it.
        command: the words of the command line.

    Raises:
        EarmarkError: they cannot be written.
    """
    out = adapted.out
    scale, words = _UNITS[adapted.watch]
    values = [scale * numbers[adapted.watch] for numbers in _numbers(adapted)]
    with writing(out):
        save(rounds_plot(values, adapted.kept, ylabel=words, title=corpus), out / "rounds.png")
        (out / "report.md").write_text("\n".join(_lines(adapted, corpus, command)) + "\n", encoding="utf-8")
        write_results(out / "results.json", _document(adapted, corpus, command))


def _lines(adapted: Adapted, corpus: str, command: Sequence[str]) -> Iterator[str]:
    material = adapted.material
    yield f"# {corpus}: adapted from {adapted.title}"
    yield ""
    yield f"`{shlex.join(command)}`"
    yield ""
    yield f"{material.speech_s / 60:.1f} min of speech in {material.recordings} recordings. " + _measure(adapted)
    yield ""
    keys = [key for key in ("map", "map_at_r", "held_out_loss") if key in adapted.start]
    names = {"map": ">MAP (%)", "map_at_r": ">MAP@R (%)", "held_out_loss": ">held-out loss"}
    heads = ["encoder", *(names[key] for key in keys), ">pairs", ">cosine from", ">coverage", ">minutes", ""]
    rows = [["start", *_cells(adapted.start, keys), "", "", "", "", "" if adapted.kept else "**kept**"]]
    for number, one in enumerate(adapted.rounds, 1):
        mined = [f"{one.pairs:,}", f"{one.threshold:.2f}", f"{100 * one.coverage:.1f} %", f"{one.minutes:.1f}"]
        kept = "**kept**" if number == adapted.kept else ""
        rows.append([f"round {number}", *_cells(one.numbers, keys), *mined, kept])
    yield table(heads, rows)
    yield ""
    yield "![From round to round](rounds.png)"
    yield ""
    for line in summary(adapted):
        yield f"- {line}"
    yield ""
    yield "## Step by step"
    yield ""
    yield "What was mined stands in `round-N/pairs/report.md`, how training went in `round-N/run/log.jsonl`."
    yield "Each step again, with another `--out` or `--run`:"
    yield ""
    yield "```bash"
    yield from (shlex.join(words) for words in adapted.commands)
    yield "```"


def _measure(adapted: Adapted) -> str:
    held_out = adapted.material.held_out
    if adapted.watch == "map":
        return "MAP of labeled segments, across speakers where there are several, decides."
    assert held_out is not None
    return (
        f"{held_out.units} {adapted.material.unit} teach nothing: the loss on pairs that the start's encoder found "
        "among them decides."
    )


def _cells(numbers: Mapping[str, float], keys: Sequence[str]) -> list[str]:
    return [f"{numbers[key]:.3f}" if key == "held_out_loss" else f"{100 * numbers[key]:.1f}" for key in keys]


def _numbers(adapted: Adapted) -> list[Mapping[str, float]]:
    return [adapted.start, *(one.numbers for one in adapted.rounds)]


def _document(adapted: Adapted, corpus: str, command: Sequence[str]) -> dict[str, object]:
    return {
        **heading("adaptation", command, encoder=(adapted.title, ""), lists=corpus),
        "watch": adapted.watch,
        "speech_s": round(adapted.material.speech_s, 2),
        "recordings": adapted.material.recordings,
        "start": dict(adapted.start),
        "rounds": [asdict(one) | {"numbers": dict(one.numbers)} for one in adapted.rounds],
        "kept": adapted.kept,
        "commands": [shlex.join(words) for words in adapted.commands],
    }
