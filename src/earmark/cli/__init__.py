"""The command line: `earmark COMMAND`. Each command group is a module; it imports what it needs when it is called."""

import sys
import warnings
from typing import Annotated

import typer

from earmark.cli import (
    compare,
    console,
    demo,
    detect,
    embed,
    enroll,
    evaluate,
    export,
    index,
    keywords,
    mine,
    prepare,
    search,
    spatial,
    spatial_figures,
    speakers,
    train,
)
from earmark.errors import EarmarkError

app = typer.Typer(
    name="earmark",
    help="Say a word a few times; find it again anywhere.",
    epilog="Begin with: [bold]earmark demo[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("enroll", epilog=enroll.EXAMPLE)(enroll.enroll)
app.command("detect", epilog=detect.EXAMPLE)(detect.detect)
app.command("index", epilog=index.EXAMPLE)(index.index)
app.command("search", epilog=search.EXAMPLE)(search.search)
app.add_typer(keywords.app)
app.add_typer(speakers.app)
app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.add_typer(prepare.app, name="prepare")
app.command("embed", epilog=embed.EXAMPLE)(embed.embed)
app.add_typer(evaluate.app, name="evaluate")
app.command("mine", epilog=mine.EXAMPLE)(mine.mine)
app.command("train", epilog=train.EXAMPLE)(train.train)
app.command("spatial", epilog=spatial.EXAMPLE)(spatial.spatial)
app.command("spatial-figures", epilog=spatial_figures.EXAMPLE)(spatial_figures.spatial_figures)
app.command("compare", epilog=compare.EXAMPLE)(compare.compare)
app.command("export", epilog=export.EXAMPLE)(export.export)


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

    A failure is one line on stderr and an exit code: 1 the work failed, 2 the input or the usage was wrong.
    """
    warnings.showwarning = console.show_warning
    try:
        app()
    except EarmarkError as error:
        sys.exit(console.report(error))
    except OSError as error:
        sys.exit(console.report(EarmarkError(console.one_line(error))))
    except KeyboardInterrupt:  # while a command is still being imported; later typer answers it, alike
        sys.exit(130)
