"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="EARMARK_STORE",
        dir_okay=False,
        help="File that keeps the keywords.",
        show_default="keywords.earmark in your data folder",
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder", metavar="NAME|FILE", help="base, tiny, or an .onnx file of your own.", show_default="base"
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms-per-hour",
        metavar="RATE",
        help="How often the keyword may be heard where nobody said it.",
    ),
]
