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
        help="File of the keywords and speakers.",
        show_default="keywords.earmark in your data folder",
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder", metavar="NAME|FILE", help="base, tiny, or an .onnx file of your own.", show_default="base"
    ),
]
SpeakerEncoderName = Annotated[
    str | None,
    typer.Option(
        "--speaker-encoder", metavar="NAME|FILE", help="speaker, or an .onnx file of your own.", show_default="speaker"
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms-per-hour",
        metavar="RATE",
        help="False alarms to accept in audio without the keyword, per hour.",
    ),
]
OnlySpeaker = Annotated[
    str | None,
    typer.Option(
        "--only-speaker",
        metavar="NAME",
        help="Detect the keyword only in this voice; enroll it first: earmark speakers enroll NAME FILE...",
        show_default="any voice",
    ),
]
