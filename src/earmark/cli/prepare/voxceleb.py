"""`earmark prepare voxceleb`: a manifest of VoxCeleb1 for training and judging encoders of speakers."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.prepare.corpora import Out

EXAMPLE = (
    "Example: [bold]earmark prepare voxceleb corpora/voxceleb1 --list iden_split.txt --mode verification "
    "--out corpora/voxceleb1/verification.tsv[/bold]"
)


class Mode(StrEnum):
    """What the splits are for."""

    identification = "identification"
    verification = "verification"


def voxceleb(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The corpus: id10001/VIDEO/00001.wav and so on in it.", show_default=False),
    ],
    split_list: Annotated[Path, typer.Option("--list", metavar="LIST", help="iden_split.txt.", show_default=False)],
    out: Out,
    mode: Annotated[
        Mode,
        typer.Option(
            help="identification: train, val and test as listed; verification: the 40 test speakers, whose names begin "
            "with E, are test, and nobody hears them in training."
        ),
    ] = Mode.identification,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out recordings that are not in DIR, and say how many.")
    ] = False,
) -> None:
    """Make a manifest of VoxCeleb1 as its list splits it; who speaks is the name of the folder."""
    from earmark.data.corpora.voxceleb import read_voxceleb
    from earmark.data.manifest import write_manifest

    manifest, missing = read_voxceleb(directory, split_list, mode=mode.value, skip_missing=skip_missing)
    write_manifest(manifest, out)
    if skip_missing:
        console.say(f"left out: {len(missing)} recordings that are not there")
    splits = [split for split in ("train", "val", "test") if len(manifest.only(split))]
    parts = ", ".join(
        f"{split} {len(manifest.only(split))} of {len({clip.speaker for clip in manifest.only(split)})} speakers"
        for split in splits
    )
    console.say(f"{out}: {len(manifest)} utterances ({parts})")
