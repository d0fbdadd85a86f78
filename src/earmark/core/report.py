"""Reports: Markdown pages with tables, and `results.json`.

Every command that measures or makes something writes a page for readers and a JSON file for programs:

```python
write_page(out / "report.md", "# Pairs of segments", table(["word", ">clips"], [["bear", "12"]]), "![DET](det.png)")
document = heading("mining", command, encoder=(encoder.name, encoder.fingerprint), lists="ngrams.txt")
write_results(out / "results.json", {**document, "settings": settings.model_dump(), "recall": recall})
```

`table` and `earmark.cli.console.print_table` take the same columns and rows.
"""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark import __version__
from earmark.core.files import write_json, write_text
from earmark.core.numbers import finite

SCHEMA_VERSION = 1
"""Version of the keys that `heading` gives."""

MISSING = "–"
"""The text of a number that was not measured."""


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    r"""Make a Markdown table, without a line break at its end.

    Args:
        columns: names; a column whose name begins with `>` is right-aligned.
        rows: cells, which may hold Markdown; `|` is escaped and line breaks become spaces.

    >>> print(table(["word", ">clips"], [["yes|no", "12"]]))
    | word | clips |
    | --- | ---: |
    | yes\|no | 12 |
    """
    columns = list(columns)
    marks = ["---:" if column.startswith(">") else "---" for column in columns]
    return "\n".join(map(_row, ([column.removeprefix(">") for column in columns], marks, *rows)))


def page(*blocks: str) -> str:
    r"""Join Markdown blocks, with an empty line between them and a line break at the end; empty blocks are dropped.

    >>> page("# Title", "", "Text.")
    '# Title\n\nText.\n'
    """
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def write_page(path: Path, *blocks: str) -> None:
    """Write `page(*blocks)` atomically.

    Raises:
        EarmarkError: the file cannot be written.
    """
    write_text(path, page(*blocks))


def number_text(
    value: float, *, margin: float = math.nan, low: float = math.nan, high: float = math.nan, percent: bool = True
) -> str:
    """Format a measured number: `92.2 ± 0.4 (90.1–94.0)`; parts that are NaN are left out.

    Args:
        value: a fraction, shown in percent with one decimal; NaN gives `–`.
        margin: standard deviation, or half an interval.
        low: lower end of an interval.
        high: upper end.
        percent: False shows the numbers as they are, with three decimals.

    >>> number_text(0.922, low=0.901, high=0.94), number_text(0.428, margin=0.012, percent=False)
    ('92.2 (90.1–94.0)', '0.428 ± 0.012')
    """
    if math.isnan(value):
        return MISSING
    scale, places = (100, 1) if percent else (1, 3)
    text = f"{scale * value:.{places}f}"
    if not math.isnan(margin):
        text += f" ± {scale * margin:.{places}f}"
    if not math.isnan(low):
        text += f" ({scale * low:.{places}f}–{scale * high:.{places}f})"
    return text


def heading(
    kind: str, command: Sequence[str], *, encoder: tuple[str, str] | None = None, lists: str | None = None
) -> dict[str, Any]:
    """Make the first entries of a `results.json`, which are the same for every command.

    Args:
        kind: what was measured or made, such as `few-shot`.
        command: the words of the command line.
        encoder: name and fingerprint.
        lists: name of the list, manifest or corpus.
    """
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "earmark": __version__,
        "command": shlex.join(command),
    }
    if encoder is not None:
        document["encoder"] = {"name": encoder[0], "fingerprint": encoder[1]}
    if lists is not None:
        document["lists"] = lists
    return document


def write_results(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON atomically; numbers that are not finite become null.

    Raises:
        EarmarkError: the file cannot be written.
    """
    write_json(path, finite(document), indent=2)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split("\n")).replace("|", "\\|") for cell in cells) + " |"
