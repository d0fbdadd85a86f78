"""Write docs/reports/sequences: tables and a plot of MAP by system and list.

earmark evaluate map data/sequences/new-words.tsv --encoder … --encoder … --out runs/sequences/map-new-words
python recipes/algayres/make_report.py docs/reports/sequences runs/sequences/map-*
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from earmark.evaluation.plots.figures import line_style, one_panel, save

Numbers = dict[str, dict[str, float]]


def main() -> None:
    """Read results of `earmark evaluate map`, and write report.md, results.json and map.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("runs", type=Path, nargs="+", help="folders that earmark evaluate map wrote")
    parser.add_argument(
        "--call",
        action="append",
        default=[],
        metavar="NAME=TITLE",
        help="title of a system in the report; the report shows systems in this order; may be repeated",
    )
    given = parser.parse_args()
    documents = [json.loads((run / "results.json").read_text(encoding="utf-8")) for run in given.runs]
    titles = dict(pair.split("=", 1) for pair in given.call)
    lists: dict[str, dict[str, Any]] = {}
    found: dict[str, dict[str, Numbers]] = {}
    for document in documents:
        lists.setdefault(document["lists"], {**document, "commands": []})["commands"].append(document["command"])
        numbers = {titles.get(name, name): values for name, values in across(document).items()}
        found[document["lists"]] = found.get(document["lists"], {}) | numbers
    named = dict.fromkeys([*titles.values(), *(system for numbers in found.values() for system in numbers)])
    systems = [system for system in named if any(system in numbers for numbers in found.values())]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "report.md").write_text(report(lists, found, systems), encoding="utf-8")
    (given.out / "results.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    draw(found, systems, given.out / "map.png")
    print(f"wrote {given.out}")


def across(document: dict[str, Any]) -> dict[str, Numbers]:
    """MAP and MAP@R of each system; the relevant segments are of other speakers."""
    return {
        result["encoder"]["name"]: {key: result["rankings"]["across"][key] for key in ("map", "map_at_r")}
        for result in document["results"]
    }


def report(lists: dict[str, dict[str, Any]], found: dict[str, dict[str, Numbers]], systems: list[str]) -> str:
    """The Markdown page: lists, MAP, MAP@R and commands."""
    lines = [
        "# Retrieval of words across speakers",
        "",
        "| list | segments | labels | speakers |",
        "|---|---:|---:|---:|",
    ]
    for name, document in lists.items():
        lines.append(f"| {name} | {document['segments']} | {document['labels']} | {document['speakers']} |")
    for key, title in (("map", "MAP"), ("map_at_r", "MAP@R")):
        lines += ["", f"{title} in percent, against segments of other speakers (95 % interval over speakers):", ""]
        lines += [f"| | {' | '.join(lists)} |", f"|---|{'---:|' * len(lists)}"]
        lines += [
            f"| {system} | {' | '.join(cell(found[name].get(system), key) for name in lists)} |" for system in systems
        ]
    lines += ["", "![MAP by system and list](map.png)", "", "```sh"]
    lines += [command for document in lists.values() for command in document["commands"]]
    return "\n".join([*lines, "```", ""])


def cell(numbers: Numbers | None, key: str) -> str:
    """A metric in percent with its interval; a dash for a system without results."""
    if numbers is None:
        return "–"
    value, low, high = (100 * (numbers[key][part] or math.nan) for part in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def draw(found: dict[str, dict[str, Numbers]], systems: list[str], path: Path) -> None:
    """Plot the MAP of each system with intervals, one line per list."""
    figure, axes = one_panel(8.5, 4.2)
    for number, (name, numbers) in enumerate(found.items()):
        color, dashes = line_style(number)
        there = [place for place, system in enumerate(systems) if system in numbers]
        values = [[100 * numbers[systems[place]]["map"][part] for place in there] for part in ("value", "low", "high")]
        axes.plot(there, values[0], dashes, marker="o", color=color, lw=1.4, ms=5, label=name)
        axes.fill_between(there, values[1], values[2], color=color, alpha=0.12, lw=0)
    axes.set_xticks(range(len(systems)), systems, rotation=25, ha="right")
    axes.set(ylabel="MAP against other speakers (%)", ylim=(0, None))
    axes.grid(axis="y", color="0.92", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    save(figure, path)


if __name__ == "__main__":
    main()
