"""`earmark keywords`: manage the stored keywords, and correct them."""

from earmark.cli.commands import App

app = App(
    name="keywords",
    panel="Keywords and voices",
    package=__name__,
    order=(
        *("list", "show"),
        *("mark-false", "mark-missed", "drop", "set", "rename", "restrict", "undo"),
        "near-misses",
        *("export", "import", "reembed"),
        *("remove", "forget"),
    ),
    help="List, show, correct, restrict, export, import, convert and remove keywords.",
)
