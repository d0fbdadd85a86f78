"""`earmark prepare from-lists`: make a manifest from published lists of labeled clips."""

from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.folder import counted
from earmark.cli.prepare.options import ManifestOut, SpeakerPattern
from earmark.core.errors import InputError


@command(
    panel="Lists", example="earmark prepare from-lists --train train.txt --test test.txt --audio gsc --out words.tsv"
)
def from_lists(
    out: ManifestOut,
    audio: Annotated[Path, typer.Option(help="Folder that the paths in the lists start from.")],
    train: Annotated[Path | None, typer.Option(metavar="LIST", help="Clips for training.")] = None,
    val: Annotated[Path | None, typer.Option(metavar="LIST", help="Clips for validation.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="LIST", help="Clips for testing.")] = None,
    speaker_pattern: SpeakerPattern = None,
    speakers: Annotated[
        Path | None, typer.Option(metavar="MANIFEST", help="Manifest that names the speakers, instead of the paths.")
    ] = None,
) -> None:
    """Make a manifest from published lists with lines 'label path'; a clip listed twice is in the manifest twice."""
    from earmark.data.corpora.folder import SPEAKER_PATTERN, speaker_finder
    from earmark.data.lists.clip_lists import known_speakers, manifest_of, read_list
    from earmark.data.manifest import read_manifest, write_manifest

    if speakers and speaker_pattern:
        raise InputError(
            "--speakers and --speaker-pattern both determine the speakers; give one of the two", key="speakers"
        )
    given = {"train": train, "val": val, "test": test}
    read = {split: read_list(path, audio=audio, repeats=True) for split, path in given.items() if path is not None}
    if not read:
        raise InputError("no list is given; name one with --train, --val or --test")
    speaker_of = (
        known_speakers(read_manifest(speakers), audio)
        if speakers
        else speaker_finder(speaker_pattern or SPEAKER_PATTERN)
    )
    manifest = manifest_of(read, audio, speaker_of=speaker_of)
    write_manifest(manifest, out)
    console.say(f"{out}: {counted(manifest)}")
