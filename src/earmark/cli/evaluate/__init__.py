"""`earmark evaluate`: how good an encoder is on lists of recordings. Each command is a module."""

from earmark.cli.commands import App
from earmark.cli.evaluate import few_shot, identify, open_set, probe, retrieve, search, verify

app = App(name="evaluate", no_args_is_help=True, help="Measure how good an encoder is on lists of recordings.")
app.command("few-shot", epilog=few_shot.EXAMPLE)(few_shot.few_shot)
app.command("open-set", epilog=open_set.EXAMPLE)(open_set.open_set)
app.command("probe", epilog=probe.EXAMPLE)(probe.probe)

SPEAKERS = "Speakers"
app.command("identify", epilog=identify.EXAMPLE, rich_help_panel=SPEAKERS)(identify.identify)
app.command("verify", epilog=verify.EXAMPLE, rich_help_panel=SPEAKERS)(verify.verify)

SEGMENTS = "Segments"
app.command("map", epilog=retrieve.EXAMPLE, rich_help_panel=SEGMENTS)(retrieve.retrieve)

ARCHIVES = "Archives"
app.command("search", epilog=search.EXAMPLE, rich_help_panel=ARCHIVES)(search.search)
