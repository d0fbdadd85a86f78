"""`earmark prepare folder`: make a manifest of the recordings in a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import ManifestOut, SpeakerPattern

if TYPE_CHECKING:
    from earmark.data.manifest import Manifest


@command(example="earmark prepare folder my_words --out my_words/manifest.tsv")
def folder(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Recordings, one folder per word: WORD/FILE.wav.")],
    out: ManifestOut,
    speaker_pattern: SpeakerPattern = None,
    val: Annotated[float, typer.Option(help="Fraction of the speakers for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Fraction of the speakers for testing.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    """Make a manifest of a folder of recordings, split by speaker.

    Folders that start with an underscore, such as _background_noise_, are noise. Splits come from the lists of Speech
    Commands (validation_list.txt, testing_list.txt) if they exist.
    """
    from earmark.data.corpora.folder import SPEAKER_PATTERN, read_folder
    from earmark.data.manifest import write_manifest
    from earmark.data.splits import assign_splits

    found = read_folder(directory, speaker_pattern=speaker_pattern or SPEAKER_PATTERN)
    manifest = assign_splits(found, val=val, test=test, seed=seed)
    write_manifest(manifest, out)
    console.say(f"{out}: {counted(manifest)}")


def counted(manifest: "Manifest") -> str:
    """Describe a manifest by its numbers of clips, labels and speakers."""
    speech = [clip for clip in manifest if clip.split != "noise"]
    splits = sorted({clip.split for clip in manifest})
    by_split = ", ".join(f"{split} {len(manifest.only(split))}" for split in splits)
    labels, speakers = ({getattr(clip, name) for clip in speech} - {""} for name in ("label", "speaker"))
    return f"{len(manifest)} clips ({by_split}), {len(labels)} labels, {len(speakers)} speakers"
