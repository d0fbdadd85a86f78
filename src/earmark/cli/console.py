"""What the commands say on the terminal: tables on stdout, errors, warnings and progress on stderr."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from earmark.core.errors import EarmarkError, InputError, InputErrors
from earmark.core.progress import Progress, no_progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from earmark.spotting.detector import Detection
    from earmark.spotting.takes import Take


def report(error: EarmarkError) -> int:
    """Print on stderr what went wrong, a line for each fault; returns the exit code."""
    for fault in error.faults if isinstance(error, InputErrors) else (one_line(error),):
        sys.stderr.write(f"error: {fault}\n")
    return 2 if isinstance(error, InputError) else 1


def one_line(error: Exception) -> str:
    """The message of an error, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Say a warning as one line on stderr; has the signature of `warnings.showwarning`."""
    del category, filename, lineno, line
    (file or sys.stderr).write(f"warning: {' '.join(str(message).split())}\n")


def note(text: str) -> None:
    """Say something beside the result as one line on stderr."""
    sys.stderr.write(f"note: {' '.join(text.split())}\n")


def say(text: str) -> None:
    """Print a line on stdout."""
    sys.stdout.write(f"{text}\n")


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]], title: str = "") -> None:
    """Print a table on stdout; columns whose name begins with `>` are right-aligned."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        table.add_row(*map(Text, row))  # Text: a file may be called [red].wav
    # A pipe has no width; the 80 columns that it would get would cut paths in pieces.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    if title:
        console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(table)


def print_takes(takes: Iterable["Take"]) -> None:
    """Print what was found in each take."""
    import numpy as np

    from earmark.core.audio import SAMPLE_RATE

    rows = []
    for number, take in enumerate(takes, start=1):
        spoken = take.wave[round(take.start_s * SAMPLE_RATE) : round(take.end_s * SAMPLE_RATE)]
        level_db = 20 * np.log10(np.sqrt(np.mean(np.square(spoken, dtype=np.float64))) + 1e-9)
        # The table says already which take it is.
        remarks = "; ".join(
            remark.removeprefix(f"take {number} ").removeprefix(f"({take.source}) ") for remark in take.remarks
        )
        span = f"{take.start_s:.2f} – {take.end_s:.2f} s"
        rows.append([str(number), take.source or "–", span, f"{level_db:.0f} dB", remarks or "good"])
    print_table([">take", "file", ">spoken part", ">level", "remarks"], rows)


def print_detections(detections: Sequence["Detection"], title: str, *, refused: Sequence["Detection"] = ()) -> None:
    """Print what was heard, or that nothing was; what was refused for its voice stands among it."""
    shown = sorted([*detections, *refused], key=lambda hit: hit.end_s) if refused else detections
    if not shown:
        say(f"{title}: nothing heard")
        return
    rows = [
        [
            hit.keyword,
            f"{hit.start_s:.2f} s",
            f"{hit.end_s:.2f} s",
            f"{hit.score:.2f}",
            f"{100 * hit.probability:.0f} %",
        ]
        for hit in shown
    ]
    columns = ["keyword", ">from", ">to", ">score", ">probability"]
    if any(hit.speaker is not None for hit in shown):
        columns += ["voice", ">voice score"]
        strangers = {id(hit) for hit in refused}
        for row, hit in zip(rows, shown, strict=True):
            voice = f"not {hit.speaker}: refused" if id(hit) in strangers else hit.speaker or "–"
            row += ["–", ""] if hit.speaker_score is None else [voice, f"{hit.speaker_score:.2f}"]
    print_table(columns, rows, title)


REDRAW_S = 0.05
"""Calls that come faster than this are not drawn."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw one bar per stage on stderr, where that is a terminal, and remove the bars at the end.

    A stage is the text before `` (``; what follows may change from call to call. The bar of a finished stage is removed
    when another stage begins.

    ```python
    with console.progress_bar() as progress:
        embed_files(files, progress=progress)
    ```
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield no_progress
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),  # a file may be called [red].wav
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield _drawn_in(bars)


def _drawn_in(bars: "Bars") -> Progress:
    """The callback that draws each stage as a task of `bars`."""
    tasks: dict[str, TaskID] = {}
    drawn_s: dict[str, float] = {}

    def draw(stage: str, done: float, total: float | None) -> None:
        name, now_s = stage.split(" (", 1)[0], time.monotonic()
        if name not in tasks:
            for task in bars.tasks:
                if task.finished:
                    bars.update(task.id, visible=False)
            tasks[name] = bars.add_task(stage, total=None)
        elif 0 < done != total and now_s - drawn_s[name] < REDRAW_S:
            return
        if not done:
            bars.reset(tasks[name])  # a stage that runs again
        bars.update(tasks[name], description=stage, completed=done, total=total, visible=True)
        drawn_s[name] = now_s

    return draw
