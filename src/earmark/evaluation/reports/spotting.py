"""What a run leaves behind: `results.json` for machines, a Markdown table for people."""

import json
import math
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from earmark import __version__
from earmark.core.numbers import finite
from earmark.evaluation.protocols import open_set
from earmark.evaluation.protocols.few_shot import METRICS, ConditionResult
from earmark.evaluation.protocols.open_set import Estimate, OpenSetResult

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Peer:
    """What another system gives on the same lists.

    Attributes:
        name: of the system.
        source: who measured it and how.
        numbers: condition → number → percent, mean over the lists.
    """

    name: str
    source: str
    numbers: Mapping[str, Mapping[str, float]]


COLUMNS = ("accuracy", "f1", "eer", "frr_at_far_10", "frr_at_far_2_5", "frr_at_far_1", "identification_5")
"""The numbers that a table shows; `results.json` holds all of them."""

OPEN_SET_COLUMNS = (
    "target_accuracy",
    "non_target_accuracy_seen",
    "non_target_accuracy_unseen",
    "total_1_1",
    "total_11_1",
    "auc",
    "map",
    "eer",
)
"""The same of an open-set test."""


def peers_for(lists: str) -> tuple[Peer, ...]:
    """The measured peers for the lists in a folder of this name; none for lists that nobody else was measured on.

    >>> [peer.name for peer in peers_for("gsc10")]
    ['Google speech_embedding, mean of frames', 'EfficientWord-Net']
    """
    table = tomllib.loads(files(__package__).joinpath("peers.toml").read_text(encoding="utf-8"))
    rows = table.get(lists, {})
    return tuple(
        Peer(name, row["source"], {key: value for key, value in row.items() if key != "source"})
        for name, row in rows.items()
    )


def table(
    rows: Mapping[str, Sequence[ConditionResult]], *, peers: Sequence[Peer] = (), columns: Sequence[str] = COLUMNS
) -> str:
    """A Markdown table: for each condition a row for each system, ours first. Percent; mean ± sd over the lists.

    Args:
        rows: what was measured, by the system's name.
        peers: quoted below ours, in italics; each one's source stands under the table.
        columns: keys of `few_shot.METRICS`.

    Returns:
        Lines that end in a line break.
    """
    by_condition: dict[str, dict[str, ConditionResult]] = {}
    for system, results in rows.items():
        for result in results:
            by_condition.setdefault(result.name, {})[system] = result
    lines = [
        table_row(["lists", "system", *(f"{METRICS[column]} (%)" for column in columns)]),
        table_row(["---", "---", *["---:"] * len(columns)]),
    ]
    for condition, systems in by_condition.items():
        for system, result in systems.items():
            lines.append(table_row([condition, system, *(spread_text(result, column) for column in columns)]))
        for peer in peers:
            if condition in peer.numbers:
                quoted = peer.numbers[condition]
                cells = [f"*{quoted[column]:.1f}*" if column in quoted else "–" for column in columns]
                lines.append(table_row([condition, f"*{peer.name}*", *cells]))
    lines += ["", *(f"*{peer.name}*: {peer.source}.\n" for peer in peers)]
    return "\n".join(lines).rstrip("\n") + "\n"


def spread_text(result: ConditionResult, column: str) -> str:
    """A number as percent: `92.2 ± 0.4`; `–` where there is none."""
    spread = result.numbers[column]
    if math.isnan(spread.mean):
        return "–"
    mean = f"{100 * spread.mean:.1f}"
    return mean if math.isnan(spread.sd) else f"{mean} ± {100 * spread.sd:.1f}"


def open_set_table(rows: Mapping[str, OpenSetResult], *, columns: Sequence[str] = OPEN_SET_COLUMNS) -> str:
    """A Markdown table with a row a system. Percent, with the 95 % interval over test speakers where there is one.

    Args:
        rows: what was measured, by the system's name.
        columns: keys of `open_set.METRICS`.

    Returns:
        Lines that end in a line break.
    """
    lines = [
        table_row(["system", "back-end", "unknown by", *(f"{open_set.METRICS[column]} (%)" for column in columns)]),
        table_row([*["---"] * 3, *["---:"] * len(columns)]),
    ]
    for system, result in rows.items():
        cells = [estimate_text(result.numbers[column]) for column in columns]
        lines.append(table_row([system, result.backend, result.unknown, *cells]))
    return "\n".join(lines) + "\n"


def estimate_text(estimate: Estimate) -> str:
    """A number as percent: `92.2 (90.1–94.0)`; `–` where there is none.

    >>> estimate_text(Estimate(0.922, 0.901, 0.94))
    '92.2 (90.1–94.0)'
    """
    if math.isnan(estimate.value):
        return "–"
    interval = "" if math.isnan(estimate.low) else f" ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"
    return f"{100 * estimate.value:.1f}{interval}"


def write_results(
    path: Path,
    results: Sequence[ConditionResult],
    *,
    command: Sequence[str],
    encoder: str,
    fingerprint: str,
    lists: str,
    scoring: str,
    backend: str = "prototype",
) -> None:
    """Write `results.json`: every number of every list and condition, as fractions; NaN becomes null.

    Args:
        path: of the file.
        results: from `few_shot.compute_metrics`.
        command: the words of the command line.
        encoder: its name.
        fingerprint: of the encoder's file.
        lists: name of the lists' folder.
        scoring: how clips were scored.
        backend: how takes gave a score.
    """
    document = {
        **heading("few-shot", command, encoder, fingerprint, lists),
        "scoring": scoring,
        "backend": backend,
        "numbers": METRICS,
        "conditions": [asdict(result) for result in results],
    }
    write_document(path, document)


def write_open_set_results(
    path: Path, result: OpenSetResult, *, command: Sequence[str], encoder: str, fingerprint: str, lists: str
) -> None:
    """Write `results.json` of an open-set test; arguments as `write_results`."""
    document = {
        **heading("open-set", command, encoder, fingerprint, lists),
        "numbers": open_set.METRICS,
        "result": asdict(result),
    }
    write_document(path, document)


def heading(kind: str, command: Sequence[str], encoder: str, fingerprint: str, lists: str) -> dict[str, Any]:
    """What every `results.json` begins with."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "earmark": __version__,
        "command": shlex.join(command),
        "encoder": {"name": encoder, "fingerprint": fingerprint},
        "lists": lists,
    }


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a document as JSON; NaN becomes null."""
    path.write_text(json.dumps(finite(document), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def table_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
