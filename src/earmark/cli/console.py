"""Terminal output: results and tables on stdout; errors, warnings and progress on stderr."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from earmark.core.errors import EarmarkError, InputError, InputErrors, MissingPackage
from earmark.core.progress import Progress, no_progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


def report(error: EarmarkError) -> int:
    """Print an error on stderr, one line per fault; returns the exit code."""
    for fault in error.faults if isinstance(error, InputErrors) else (one_line(error),):
        sys.stderr.write(f"error: {fault}\n")
    return 2 if isinstance(error, InputError) else 1


def one_line(error: Exception) -> str:
    """Return the message of an error without line breaks; for a missing package, the command that installs it."""
    if isinstance(error, MissingPackage):
        from earmark.cli.extras import install_command, origin

        ending = f", or {error.alternative}" if error.alternative else ""
        return f"{error.package}: not installed; run: {install_command(error.extra, origin())}{ending}"
    return " ".join(str(error).split()) or type(error).__name__


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line on stderr; has the signature of `warnings.showwarning`."""
    del category, filename, lineno, line
    (file or sys.stderr).write(f"warning: {' '.join(str(message).split())}\n")


def note(text: str) -> None:
    """Print a remark on the result as one line on stderr."""
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
        table.add_row(*map(Text, row))  # Text, because a name such as [red].wav is not markup
    # A pipe has no width; the default of 80 columns would wrap paths.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    if title:
        console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(table)


def time_text(seconds: float) -> str:
    """Format a time for tables: in seconds below a minute, else in minutes and seconds.

    >>> time_text(59.5), time_text(83.456), time_text(3723.4)
    ('59.50 s', '1:23.46', '1:02:03.40')
    """
    rounded = round(seconds, 2)
    if rounded < 60:
        return f"{rounded:.2f} s"
    minutes, rest_s = divmod(rounded, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest_s:05.2f}" if hours else f"{minutes}:{rest_s:05.2f}"


REDRAW_S = 0.05
"""Shortest time between two drawings of a bar."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw one progress bar per stage on stderr if it is a terminal, and remove the bars at the end.

    The name of a stage is its text before `` (``; the rest may differ between calls. The bar of a finished stage is
    removed when another stage begins.

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
        TextColumn("{task.description}", markup=False),  # a name such as [red].wav is not markup
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield _drawn_in(bars)


def _drawn_in(bars: "Bars") -> Progress:
    """Make a progress callback that draws each stage as a task of `bars`."""
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
