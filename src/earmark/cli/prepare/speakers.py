"""`earmark prepare speakers`: make splits and pairs for speaker encoders from a manifest with speakers."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import ListAudio
from earmark.cli.settings import options_from
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from earmark.data.manifest import Clip, Manifest
    from earmark.data.speaker_splits import HoldOutSettings


@command(
    panel="Lists",
    example="earmark prepare speakers corpus/manifest.tsv --verify-split test --pairs 20000 --out data/speakers",
)
@options_from("earmark.data.speaker_splits:HoldOutSettings")
def speakers(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Clips with speakers; each clip is a whole file.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the manifest and lists.")],
    settings: "HoldOutSettings",
    split: Annotated[str, typer.Option(help="Split of the training speakers.")] = "train",
    verify_split: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="Split of the verification speakers, who are not in training.")
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Number of pairs in veri_test.txt, half of them of one speaker, balanced over speakers; all if not "
            "given.",
        ),
    ] = None,
    skip_few: Annotated[
        bool, typer.Option("--skip-few", help="Drop speakers with too few utterances, and count them.")
    ] = False,
    audio: ListAudio = None,
) -> None:
    """Hold out utterances of each speaker, and list pairs of other speakers.

    DIR gets iden_split.txt in VoxCeleb's format, lines '1 path' to train, '2 path' to validate, '3 path' to test, and
    manifest.tsv with the splits train, val and test of the same utterances. With --verify-split, the manifest also has
    the speakers of that split as split unseen, and veri_test.txt has pairs of them, lines '1 path path' and
    '0 path path'. Noises and rooms of the manifest are kept.
    """
    from earmark.data import speaker_splits
    from earmark.data.lists.split_lists import Utterance, write_split_list
    from earmark.data.manifest import read_manifest, write_manifest

    _check_splits(split, verify_split, pairs)
    read = read_manifest(manifest)
    home = audio or read.folder
    every = speaker_splits.utterances_by_speaker(read, split)
    trained = speaker_splits.drop_few(every, settings.least, skip=skip_few)
    held = speaker_splits.hold_out(trained, settings)
    others = {} if verify_split is None else speaker_splits.utterances_by_speaker(read, verify_split)
    unseen = speaker_splits.drop_few(others, 2, skip=skip_few) if pairs is not None else others
    made = speaker_splits.with_unseen(read, held, unseen)
    paths = _paths([*held, *(clip for clips in unseen.values() for clip in clips)], home, read)
    write_split_list([Utterance(clip.split, paths[clip.path]) for clip in held], out / "iden_split.txt")
    write_manifest(made, out / "manifest.tsv")
    parts = ", ".join(f"{part} {sum(clip.split == part for clip in held)}" for part in ("train", "val", "test"))
    console.say(f"{out / 'iden_split.txt'}: {len(trained)} speakers, {len(held)} utterances ({parts})")
    if unseen:
        _write_pairs(unseen, pairs, settings.seed, paths, out / "veri_test.txt")
    if skip_few:
        dropped = len(every) - len(trained) + len(others) - len(unseen)
        console.say(f"dropped: {dropped} speakers with too few utterances")
    console.say(f"{out / 'manifest.tsv'}: {len(made)} clips")
    console.say(f"paths in the lists start from {home}")
    if unseen or settings.test:
        console.say(_next(out, home, verify=bool(unseen)))


def _check_splits(split: str, verify_split: str | None, pairs: int | None) -> None:
    """Raise an error if pairs are requested without a split of speakers who are not in training."""
    if pairs is not None and verify_split is None:
        raise InputError("pairs need speakers who are not in training; name their split by --verify-split", key="pairs")
    if verify_split == split:
        raise InputError(
            f"{split!r} is the split of the training speakers; verification needs others; name another split",
            key="verify_split",
        )


def _next(out: Path, audio: Path, *, verify: bool) -> str:
    """Return the line that shows the user how to evaluate an encoder with the written lists."""
    kind, name = ("verify", "veri_test.txt") if verify else ("identify", "iden_split.txt")
    command = f"earmark evaluate {kind} {quote(str(out / name))} --audio {quote(str(audio))}"
    if verify:
        return f"evaluate with: {command}"
    # Only an encoder that was trained on these speakers can identify them.
    return f"evaluate an encoder trained on them with: {command} --encoder CHECKPOINT"


def _write_pairs(
    unseen: "Mapping[str, Sequence[Clip]]", count: int | None, seed: int, paths: "Mapping[str, str]", out: Path
) -> None:
    """Draw pairs of clips of unseen speakers, write them to a list, and print their number."""
    from earmark.data.lists.clip_lists import ClipPair, write_pairs
    from earmark.data.speaker_splits import draw_speaker_pairs

    drawn = [
        ClipPair(same, paths[one.path], paths[other.path])
        for same, one, other in draw_speaker_pairs(unseen, count, seed=seed)
    ]
    write_pairs(drawn, out)
    same = sum(pair.is_same for pair in drawn)
    console.say(f"{out}: {len(unseen)} speakers, {len(drawn)} pairs, {same} of them of one speaker")


def _paths(clips: "Iterable[Clip]", audio: Path, manifest: "Manifest") -> dict[str, str]:
    """Map the path of each clip in the manifest to its path relative to the folder `audio`."""
    from dataclasses import replace

    from earmark.data.lists.clip_lists import listing_from

    listed = listing_from(audio, manifest)
    return {clip.path: listed(replace(clip, label=clip.speaker)).path for clip in clips}
