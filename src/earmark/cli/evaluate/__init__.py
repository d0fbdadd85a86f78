"""`earmark evaluate`: how good an encoder is on lists of recordings. Each command is a module."""

import typer

from earmark.cli.evaluate import few_shot, open_set

app = typer.Typer(name="evaluate", no_args_is_help=True, help="Measure how good an encoder is on lists of recordings.")
app.command("few-shot", epilog=few_shot.EXAMPLE)(few_shot.few_shot)
app.command("open-set", epilog=open_set.EXAMPLE)(open_set.open_set)
