"""`earmark prepare voxceleb`: make a manifest of VoxCeleb1 for training and evaluating speaker encoders."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import ManifestOut


@command(
    panel="Corpora in their own layout",
    example="earmark prepare voxceleb corpora/voxceleb1 --list iden_split.txt "
    "--mode verification --out corpora/voxceleb1/verification.tsv",
)
def voxceleb(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The corpus: folder of id10001/VIDEO/00001.wav and so on.")
    ],
    split_list: Annotated[Path, typer.Option("--list", metavar="LIST", help="iden_split.txt.")],
    out: ManifestOut,
    mode: Annotated[
        Literal["identification", "verification"],
        typer.Option(
            help="identification: train, val and test as listed; verification: the 40 test speakers, whose names begin "
            "with E, are test and not in training."
        ),
    ] = "identification",
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Drop recordings that are not in DIR, and count them.")
    ] = False,
) -> None:
    """Make a manifest of VoxCeleb1 with the splits of its list; folders are speakers."""
    from earmark.data.corpora.voxceleb import read_voxceleb
    from earmark.data.manifest import write_manifest

    manifest, missing = read_voxceleb(directory, split_list, mode=mode, skip_missing=skip_missing)
    write_manifest(manifest, out)
    if skip_missing:
        console.say(f"dropped: {len(missing)} missing recordings")
    splits = [split for split in ("train", "val", "test") if len(manifest.only(split))]
    parts = ", ".join(
        f"{split} {len(manifest.only(split))} of {len({clip.speaker for clip in manifest.only(split)})} speakers"
        for split in splits
    )
    console.say(f"{out}: {len(manifest)} utterances ({parts})")
