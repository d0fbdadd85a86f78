"""Report of a few-shot evaluation, beside other systems that were measured on the same lists."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from earmark.core.report import MISSING, page
from earmark.core.report import table as markdown_table
from earmark.evaluation.protocols.few_shot import METRICS, ConditionResult


@dataclass(frozen=True)
class Peer:
    """Results of another system on the same lists.

    Attributes:
        name: name of the system.
        source: who measured the results, and how.
        numbers: percent, mean over the lists, by condition, then by metric.
    """

    name: str
    source: str
    numbers: Mapping[str, Mapping[str, float]]


SHOWN = ("accuracy", "f1", "eer", "frr_at_far_10", "frr_at_far_2_5", "frr_at_far_1", "identification_5")
"""Keys of `METRICS` that tables show; `results.json` has all of them."""

COLUMNS = ("lists", *(f">{METRICS[key]} (%)" for key in SHOWN))


def peers_for(lists: str) -> tuple[Peer, ...]:
    """Peers with published results for the lists in a folder of this name.

    >>> [peer.name for peer in peers_for("gsc10")]
    ['Google speech_embedding, mean of frames', 'EfficientWord-Net']
    """
    tables = tomllib.loads(files(__package__).joinpath("peers.toml").read_text(encoding="utf-8"))
    return tuple(
        Peer(name, row["source"], {key: value for key, value in row.items() if key != "source"})
        for name, row in tables.get(lists, {}).items()
    )


def rows(results: Sequence[ConditionResult]) -> list[list[str]]:
    """Rows of a table, one per condition, in percent: mean ± standard deviation over the lists."""
    return [[f"{result.name} × {len(result.lists)}", *_cells(result)] for result in results]


def markdown(systems: Mapping[str, Sequence[ConditionResult]], peers: Sequence[Peer] = ()) -> str:
    """Markdown table with one row per condition and system, and the sources of the peers below it.

    Args:
        systems: results by name of the system.
        peers: other systems, shown in italics after `systems`.
    """
    by_condition: dict[str, dict[str, ConditionResult]] = {}
    for system, results in systems.items():
        for result in results:
            by_condition.setdefault(result.name, {})[system] = result
    lines = []
    for condition, found in by_condition.items():
        lines += [[condition, system, *_cells(result)] for system, result in found.items()]
        for peer in peers:
            if numbers := peer.numbers.get(condition):
                cells = [f"*{numbers[key]:.1f}*" if key in numbers else MISSING for key in SHOWN]
                lines.append([condition, f"*{peer.name}*", *cells])
    columns = [COLUMNS[0], "system", *COLUMNS[1:]]
    return page(markdown_table(columns, lines), *(f"*{peer.name}*: {peer.source}." for peer in peers))


def document(results: Sequence[ConditionResult]) -> dict[str, Any]:
    """Content of `results.json`: every metric of every list and condition, as fractions."""
    return {"numbers": METRICS, "conditions": [asdict(result) for result in results]}


def _cells(result: ConditionResult) -> list[str]:
    return [result.numbers[key].text(interval=False) for key in SHOWN]
