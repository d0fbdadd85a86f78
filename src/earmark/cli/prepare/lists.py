"""`earmark prepare lists` and `open-set`: draw lists for evaluation and training from manifests."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import WORDS, ListAudio, read_numbers, read_splits, read_words
from earmark.cli.settings import options_from
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from earmark.data.draws import FewShotDraw, FewShotSettings, OpenSetSettings, TrainingListSettings
    from earmark.data.lists.clip_lists import ListedClip
    from earmark.data.manifest import Clip, Manifest

ManifestFile = Annotated[Path, typer.Argument(metavar="MANIFEST", help="Clips to draw from.")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the lists.")]
Noise = Annotated[
    Path | None,
    typer.Option(metavar="MANIFEST", help="Background noise for --silence; that of the manifest if not given."),
]


@command(
    panel="Lists", example="earmark prepare lists gsc/manifest.tsv --keywords gsc/user-defined --out trials/digits"
)
@options_from(
    "earmark.data.draws:FewShotSettings", flags={"new_speakers": "--new-speakers/--any-speakers"}, panel="Draws"
)
@options_from("earmark.data.draws:TrainingListSettings", "training", panel="Training list")
def lists(
    manifest: ManifestFile,
    keywords: Annotated[str, typer.Option(metavar="WORDS", help=f"Words to enroll, {WORDS}.")],
    out: Folder,
    settings: "FewShotSettings",
    training: "TrainingListSettings",
    takes: Annotated[str, typer.Option(metavar="NUMBERS", help="Numbers of takes that enroll a keyword.")] = "1,5,10",
    seeds: Annotated[int, typer.Option(min=1, help="Number of draws for each number of takes.")] = 5,
    splits: Annotated[str, typer.Option("--from", metavar="SPLITS", help="Splits to enroll and test from.")] = "test",
    impostors: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Words to test beside the keywords; all others if not given.")
    ] = None,
    silence: Annotated[int, typer.Option(min=0, help="Seconds of quiet background noise to test with.")] = 0,
    noise: Noise = None,
    audio: ListAudio = None,
) -> None:
    """Draw lists for few-shot evaluation: clips that enroll keywords, and clips that test them.

    For each number of takes and each seed, DIR gets a pair of lists such as enroll_k5_s0.txt and test_k5_s0.txt. The
    takes of a keyword have different speakers; labels other than the keywords are impostors. No file is in two of the
    enrollment, test and training lists.
    """
    from earmark.data.draws import clips_by_word, draw_few_shot
    from earmark.data.manifest import read_manifest

    clips = read_manifest(manifest)
    names = read_words(keywords, "--keywords")
    others = None if impostors is None else read_words(impostors, "--impostors")
    words = clips_by_word(clips, read_splits(splits, "--from"))
    draws = {
        f"k{number}_s{seed}": draw_few_shot(words, names, number, settings, seed=seed, impostors=others)
        for number in read_numbers(takes, "--takes")
        for seed in range(seeds)
    }
    used = [clip for draw in draws.values() for clip in (*draw.enrollment, *draw.test)]
    trained = _training(clips, training, used)
    audio = audio or clips.folder
    listed = _listing(audio, clips)
    quiet = _silence(clips, noise, silence, out, audio)
    files = {f"enroll_{name}.txt": listed(draw.enrollment) for name, draw in draws.items()}
    files |= {f"test_{name}.txt": [*listed(draw.test), *quiet] for name, draw in draws.items()}
    files |= {"train.txt": listed(trained)} if trained else {}
    _write(files, out, ("enroll_*.txt", "test_*.txt", "train.txt"))
    _print_draws(draws, names, silence)
    if trained:
        console.say(_training_line(trained, used))
    console.say(_next("few-shot", out, "--audio", audio))


@command(panel="Lists", example="earmark prepare open-set gsc/manifest.tsv --targets gsc/pre-defined --out trials/open")
@options_from("earmark.data.draws:OpenSetSettings")
def open_set(
    manifest: ManifestFile,
    targets: Annotated[str, typer.Option(metavar="WORDS", help=f"Words to recognize, {WORDS}.")],
    out: Folder,
    settings: "OpenSetSettings",
    seen: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Unknown words to train on; half of the other words if not given."),
    ] = None,
    splits: Annotated[str, typer.Option("--from", metavar="SPLITS", help="Splits to test from.")] = "test",
    train_from: Annotated[str, typer.Option(metavar="SPLITS", help="Splits to train from.")] = "train",
    val_from: Annotated[str, typer.Option(metavar="SPLITS", help="Splits to choose thresholds on.")] = "val",
    silence: Annotated[
        int, typer.Option(min=0, help="Seconds of quiet background noise in each list, as one more target.")
    ] = 0,
    noise: Noise = None,
    audio: ListAudio = None,
) -> None:
    """Draw lists for open-set evaluation: train.txt, test.txt and, from clips of val, val.txt.

    train.txt has the target words and the seen unknown words. test.txt also has unseen unknown words, which train.txt
    does not have. No file is in two of the lists.
    """
    from earmark.data.draws import clips_by_word, draw_open_set
    from earmark.data.manifest import read_manifest

    clips = read_manifest(manifest)
    names = read_words(targets, "--targets")
    validation = read_splits(val_from, "--val-from")
    draw = draw_open_set(
        clips_by_word(clips, read_splits(train_from, "--train-from")),
        clips_by_word(clips, read_splits(splits, "--from")),
        names,
        settings,
        val=clips_by_word(clips, validation) if any(clip.label for clip in clips.only(*validation)) else None,
        seen=None if seen is None else read_words(seen, "--seen"),
    )
    audio = audio or clips.folder
    listed = _listing(audio, clips)
    chosen = {"test.txt": draw.test, "train.txt": draw.train} | ({"val.txt": draw.val} if draw.val else {})
    # Each list has silence of its own.
    quiet = _silence(clips, noise, silence * len(chosen), out, audio)
    parts = [quiet[silence * number : silence * (number + 1)] for number in range(len(chosen))]
    files = {name: [*listed(said), *part] for (name, said), part in zip(chosen.items(), parts, strict=True)}
    _write(files, out, ("test.txt", "train.txt", "val.txt"))
    for name in sorted(files):
        console.say(f"{out / name}: {len(files[name])} lines, {len({clip.label for clip in files[name]})} labels")
    console.say(f"seen unknown words: {', '.join(draw.seen) or 'none'}")
    console.say(f"unseen unknown words: {', '.join(draw.unseen) or 'none'}")
    console.say(_training_line(draw.train, draw.test))
    console.say(_next("open-set", out, "--targets", ",".join(names), "--audio", audio))


def _training(clips: "Manifest", training: "TrainingListSettings", used: "Iterable[Clip]") -> "Sequence[Clip]":
    """Draw the clips of the training list, except used ones; none if the settings name no words."""
    from earmark.data.draws import clips_by_word, draw_training

    if training.train_words is None:
        return ()
    return draw_training(
        clips_by_word(clips, read_splits(training.train_from, "--train-from")),
        read_words(training.train_words, "--train-words"),
        seed=0,
        per_word=training.train_per_word,
        without={clip.path for clip in used},
    )


def _listing(audio: Path, manifest: "Manifest") -> "Callable[[Iterable[Clip]], list[ListedClip]]":
    from earmark.data.lists.clip_lists import listing_from

    # A clip is in many lists, and checking that its file exists takes time.
    listed = cache(listing_from(audio, manifest))
    return lambda clips: [listed(clip) for clip in clips]


def _silence(manifest: "Manifest", noise: Path | None, count: int, out: Path, audio: Path) -> "list[ListedClip]":
    """Write `count` clips of one second of quiet noise under `out`, the same at every call."""
    from earmark.data.manifest import read_manifest
    from earmark.data.silence import write_silence

    if not count:
        return []
    noises = (manifest if noise is None else read_manifest(noise)).only("noise")
    if not len(noises):
        raise InputError(
            "the manifest has no clips of split noise; name a manifest of noise with --noise", key="silence"
        )
    written = write_silence(noises, out, count)
    return _listing(audio, written)(written)


def _write(files: "Mapping[str, Sequence[ListedClip]]", out: Path, kinds: Iterable[str]) -> None:
    """Write lists; raise an error if the folder has others of these kinds, which would seem to be of this draw."""
    from earmark.data.lists.clip_lists import write_list

    others = sorted({path.name for kind in kinds for path in out.glob(kind)} - files.keys())
    if others:
        raise InputError(f"{out / others[0]} is a list of another draw; remove it, or name another folder", key="out")
    for name, listed in files.items():
        write_list(listed, out / name)


def _next(*words: object) -> str:
    return f"evaluate with: earmark evaluate {shlex.join(map(str, words))}"


def _print_draws(draws: "Mapping[str, FewShotDraw]", keywords: Sequence[str], silence: int) -> None:
    from earmark.data.lists.clip_lists import listed_label

    rows = []
    for name, draw in draws.items():
        positive = sum(listed_label(clip.label) in keywords for clip in draw.test)
        counts = (len(keywords), len(draw.enrollment), positive, len(draw.test) - positive, silence)
        rows.append([name, *map(str, counts)])
    console.print_table(["lists", ">keywords", ">takes", ">test clips", ">of other words", ">of silence"], rows)


def _training_line(training: "Sequence[Clip]", tested: "Iterable[Clip]") -> str:
    speakers = {clip.speaker for clip in training} & {clip.speaker for clip in tested} - {""}
    return (
        f"train.txt: {len(training)} lines of {len({clip.label for clip in training})} words,"
        f" {len({clip.path for clip in training})} different clips; speakers that are also in the other lists:"
        f" {len(speakers) or 'none'}"
    )
