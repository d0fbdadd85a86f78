"""The command line: `earmark COMMAND`.

Each module of this package declares one command or one group of commands (see `earmark.cli.commands`). A module is
imported only when its command runs, and the function of a command imports the libraries that it needs.
"""

import sys
import warnings
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import App
from earmark.core.errors import EarmarkError

app = App(
    name="earmark",
    package=__name__,
    order=(
        *("demo", "enroll", "detect", "keywords", "tune", "speakers"),
        *("index", "search"),
        *("prepare", "embed", "mine"),
        *("train", "adapt", "export"),
        *("evaluate", "compare", "spatial", "plot"),
    ),
    help="Say a word a few times; find it again anywhere.",
    epilog="Begin with: [bold]earmark demo[/bold]",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from earmark import __version__

        typer.echo(f"earmark {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line.

    An error is one line on stderr and an exit code: 1 for failed work, 2 for wrong input or usage.
    """
    warnings.showwarning = console.show_warning
    try:
        app()
    except EarmarkError as error:
        sys.exit(console.report(error))
    except OSError as error:
        sys.exit(console.report(EarmarkError(console.one_line(error))))
    except KeyboardInterrupt:  # during an import; afterwards, typer exits with 130 itself
        sys.exit(130)
