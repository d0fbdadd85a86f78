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
        help="File of the keywords and speakers; keywords.earmark in your data folder if not given.",
    ),
]
KeywordName = Annotated[str, typer.Argument(help="Name of a keyword.")]
EncoderName = Annotated[
    str | None,
    typer.Option("--encoder", metavar="NAME|FILE", help="base, or your own .onnx file; base if not given."),
]
SpeakerEncoderName = Annotated[
    str | None,
    typer.Option(
        "--speaker-encoder", metavar="NAME|FILE", help="Your own .onnx file; the shipped speaker encoder if not given."
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms-per-hour", metavar="RATE", help="False alarms to accept per hour; 0.5 for a new keyword."
    ),
]
OnlySpeaker = Annotated[
    str | None,
    typer.Option(
        "--only-speaker",
        metavar="NAME",
        help="Detect the keyword only in this voice; enroll it first: earmark speakers enroll NAME FILE...",
    ),
]
Replace = Annotated[bool, typer.Option("--replace", help="Drop the earlier takes of this name.")]
Add = Annotated[bool, typer.Option("--add", help="Keep the earlier takes of this name, and add these.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key of the recipe; may be repeated."),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, …; if not given, the GPU where there is one."),
]
Check = Annotated[
    bool, typer.Option("--check", help="Report every fault of the recipe and of its files; train nothing.")
]
