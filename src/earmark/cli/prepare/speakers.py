"""`earmark prepare speakers`: from a manifest with speakers, what an encoder of speakers is trained and judged on."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from earmark.data.manifest import Clip, Manifest

EXAMPLE = (
    "Example: [bold]earmark prepare speakers corpus/manifest.tsv --verify-split test --pairs 20000 "
    "--out data/speakers[/bold]"
)


def speakers(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Clips with speakers; whole files.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the manifest and lists.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split whose speakers are learned.")] = "train",
    val: Annotated[int, typer.Option(min=0, help="Utterances of each of them that validate.")] = 2,
    test: Annotated[int, typer.Option(min=0, help="Utterances of each of them that test.")] = 4,
    verify_split: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Split whose speakers are never heard in training.", show_default="none"),
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="So many pairs in veri_test.txt, half of them of one speaker, balanced over speakers.",
            show_default="all pairs",
        ),
    ] = None,
    skip_few: Annotated[
        bool, typer.Option("--skip-few", help="Leave out speakers with too few utterances, and say how many.")
    ] = False,
    audio: Annotated[
        Path | None,
        typer.Option(help="Folder that the paths in the lists start from.", show_default="the manifest's folder"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Hold out utterances of each speaker, and list pairs of other speakers.

    DIR gets iden_split.txt in VoxCeleb's format, lines '1 path' to train, '2 path' to validate, '3 path' to test, and
    manifest.tsv with the splits train, val and test of the same utterances. With --verify-split, the manifest has the
    speakers of that split as split unseen, and veri_test.txt has pairs of them, lines '1 path path' and
    '0 path path'. Noises and rooms of the manifest stay as they are.
    """
    from earmark.data import speaker_splits
    from earmark.data.lists.clip_lists import ClipPair, write_pairs
    from earmark.data.lists.split_lists import Utterance, write_split_list
    from earmark.data.manifest import read_manifest, write_manifest

    if pairs is not None and verify_split is None:
        raise InputError("--pairs: for --verify-split only")
    if verify_split == split:
        raise InputError(f"--split and --verify-split: both are {split}, but verification needs other speakers")
    read = read_manifest(manifest)
    home = audio or read.folder
    everybody = speaker_splits.utterances_by_speaker(read, split)
    learned = speaker_splits.without_few(everybody, val + test + 1, skip=skip_few)
    held = speaker_splits.hold_out(learned, val=val, test=test, seed=seed)
    strangers = {} if verify_split is None else speaker_splits.utterances_by_speaker(read, verify_split)
    judged = speaker_splits.without_few(strangers, 2, skip=skip_few) if pairs is not None else strangers
    made = speaker_splits.with_unseen(read, held, judged)
    paths = _paths([*held, *(clip for clips in judged.values() for clip in clips)], home, read)
    out.mkdir(parents=True, exist_ok=True)
    write_split_list([Utterance(clip.split, paths[clip.path]) for clip in held], out / "iden_split.txt")
    write_manifest(made, out / "manifest.tsv")
    parts = ", ".join(f"{part} {sum(clip.split == part for clip in held)}" for part in ("train", "val", "test"))
    console.say(f"{out / 'iden_split.txt'}: {len(learned)} speakers, {len(held)} utterances ({parts})")
    if judged:
        drawn = [
            ClipPair(same, paths[one.path], paths[other.path])
            for same, one, other in speaker_splits.draw_pairs(judged, pairs, seed=seed)
        ]
        write_pairs(drawn, out / "veri_test.txt")
        same = sum(pair.is_same for pair in drawn)
        console.say(
            f"{out / 'veri_test.txt'}: {len(judged)} speakers, {len(drawn)} pairs, {same} of them of one speaker"
        )
    skipped = len(everybody) - len(learned) + len(strangers) - len(judged)
    if skip_few:
        console.say(f"left out: {skipped} speakers with too few utterances")
    console.say(f"{out / 'manifest.tsv'}: {len(made)} clips")
    console.say(f"paths in the lists start from {home}")
    if judged:
        verify = f"earmark evaluate verify {quote(str(out / 'veri_test.txt'))} --audio {quote(str(home))}"
        console.say(f"try it: {verify}")
    elif test:  # only what learned from these speakers can name them
        identify = f"earmark evaluate identify {quote(str(out / 'iden_split.txt'))} --audio {quote(str(home))}"
        console.say(f"once an encoder has learned them: {identify} --encoder CHECKPOINT")


def _paths(clips: "Iterable[Clip]", audio: Path, manifest: "Manifest") -> dict[str, str]:
    """Paths as lists from `audio` write them, by paths of the manifest."""
    from dataclasses import replace

    from earmark.data.lists.clip_lists import listing_from

    listed = listing_from(audio, manifest)
    return {clip.path: listed(replace(clip, label=clip.speaker)).path for clip in clips}
