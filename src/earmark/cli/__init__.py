"""The command line: `earmark COMMAND`. Each command group is a module; it imports what it needs when it is called."""

import sys
import warnings
from typing import Annotated

import typer

from earmark.cli import (
    adapt,
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
from earmark.cli.commands import App
from earmark.core.errors import EarmarkError

app = App(
    name="earmark",
    help="Say a word a few times; find it again anywhere.",
    epilog="Begin with: [bold]earmark demo[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

KEYWORDS = "Keywords and voices"
app.command("demo", epilog=demo.EXAMPLE, rich_help_panel=KEYWORDS)(demo.demo)
app.command("enroll", epilog=enroll.EXAMPLE, rich_help_panel=KEYWORDS)(enroll.enroll)
app.command("detect", epilog=detect.EXAMPLE, rich_help_panel=KEYWORDS)(detect.detect)
app.add_typer(keywords.app, rich_help_panel=KEYWORDS)
app.add_typer(speakers.app, rich_help_panel=KEYWORDS)

SEARCH = "Search"
app.command("index", epilog=index.EXAMPLE, rich_help_panel=SEARCH)(index.index)
app.command("search", epilog=search.EXAMPLE, rich_help_panel=SEARCH)(search.search)

DATA = "Data"
app.add_typer(prepare.app, name="prepare", rich_help_panel=DATA)
app.command("embed", epilog=embed.EXAMPLE, rich_help_panel=DATA)(embed.embed)
app.command("mine", epilog=mine.EXAMPLE, rich_help_panel=DATA)(mine.mine)

TRAINING = "Training"
app.command("train", epilog=train.EXAMPLE, rich_help_panel=TRAINING)(train.train)
app.command("adapt", epilog=adapt.EXAMPLE, rich_help_panel=TRAINING)(adapt.adapt)
app.command("export", epilog=export.EXAMPLE, rich_help_panel=TRAINING)(export.export)

EVALUATION = "Evaluation and comparison"
app.add_typer(evaluate.app, name="evaluate", rich_help_panel=EVALUATION)
app.command("compare", epilog=compare.EXAMPLE, rich_help_panel=EVALUATION)(compare.compare)
app.command("spatial", epilog=spatial.EXAMPLE, rich_help_panel=EVALUATION)(spatial.spatial)
app.command("spatial-figures", epilog=spatial_figures.EXAMPLE, rich_help_panel=EVALUATION)(
    spatial_figures.spatial_figures
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
