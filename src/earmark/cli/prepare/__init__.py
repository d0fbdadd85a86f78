"""`earmark prepare`: make manifests of recordings, and recordings of word lists. Each command is a module."""

import typer

from earmark.cli.prepare import folder, synth

app = typer.Typer(
    name="prepare", help="Make manifests of recordings, and recordings of word lists.", no_args_is_help=True
)
app.command("folder", epilog=folder.EXAMPLE)(folder.folder)
app.command("synth", epilog=synth.EXAMPLE)(synth.synth)
