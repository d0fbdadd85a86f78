"""`earmark evaluate`: measure how good an encoder is on lists of recordings."""

from earmark.cli.commands import App

app = App(
    name="evaluate",
    panel="Evaluation and comparison",
    package=__name__,
    order=("few-shot", "open-set", "probe", "identify", "verify", "map", "search"),
    help="Measure how good an encoder is on lists of recordings.",
)
