"""`earmark prepare lists`, `open-set`, `pairs`, `from-lists`: draw lists from manifests, and manifests from lists."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console
from earmark.cli.prepare import options as words
from earmark.cli.prepare.folder import counted
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from earmark.data.draws import FewShotDraw
    from earmark.data.lists.clip_lists import ListedClip
    from earmark.data.manifest import Clip, Manifest

LISTS_EXAMPLE = (
    "Example: [bold]earmark prepare lists gsc/manifest.tsv --keywords gsc/user-defined --out trials/digits[/bold]"
)
OPEN_SET_EXAMPLE = (
    "Example: [bold]earmark prepare open-set gsc/manifest.tsv --targets gsc/pre-defined --out trials/open[/bold]"
)
PAIRS_EXAMPLE = "Example: [bold]earmark prepare pairs keywords/manifest.tsv --out trials/pairs.txt[/bold]"
FROM_LISTS_EXAMPLE = (
    "Example: [bold]earmark prepare from-lists --train train.txt --test test.txt --audio gsc --out words.tsv[/bold]"
)

ManifestFile = Annotated[Path, typer.Argument(metavar="MANIFEST", help="Clips to draw from.", show_default=False)]
Folder = Annotated[Path, typer.Option("--out", help="Folder for the lists.", show_default=False)]
Audio = Annotated[
    Path | None,
    typer.Option(help="Folder that the paths in the lists start from.", show_default="the manifest's folder"),
]
From = Annotated[str, typer.Option("--from", metavar="SPLITS", help="Splits to enroll and test from.")]
TestFrom = Annotated[str, typer.Option("--from", metavar="SPLITS", help="Splits to test from.")]
TrainFrom = Annotated[str, typer.Option(metavar="SPLITS", help="Splits to train from.")]
TrainPerWord = Annotated[
    int | None,
    typer.Option(min=1, help="Lines a training word; repeats clips where there are fewer.", show_default="all clips"),
]
Noise = Annotated[
    Path | None,
    typer.Option(metavar="MANIFEST", help="Background noise for --silence.", show_default="the manifest's own"),
]


def _most(what: str) -> Any:
    return typer.Option(min=1, help=f"At most so many test clips of {what}.", show_default="all")


def lists(
    manifest: ManifestFile,
    keywords: Annotated[str, typer.Option(metavar="WORDS", help=f"Words to enroll, {words.WORDS}.")],
    out: Folder,
    takes: Annotated[str, typer.Option(metavar="NUMBERS", help="Takes that enroll a keyword.")] = "1,5,10",
    seeds: Annotated[int, typer.Option(min=1, help="Draws of each number of takes.")] = 5,
    splits: From = "test",
    impostors: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Words to test beside the keywords.", show_default="all others")
    ] = None,
    test_per_keyword: Annotated[int | None, _most("a keyword")] = None,
    test_per_impostor: Annotated[int | None, _most("each other word")] = None,
    voices: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So few speakers enroll every keyword, several takes each, and the others test.",
            show_default="drawn anew for each keyword, a take each",
        ),
    ] = None,
    new_speakers: Annotated[
        bool,
        typer.Option("--new-speakers/--any-speakers", help="Whether nobody who enrolled anything may be in the test."),
    ] = True,
    silence: Annotated[int, typer.Option(min=0, help="Seconds of quiet background noise to test with.")] = 0,
    noise: Noise = None,
    train_words: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Write train.txt too, of these words.", show_default="no list")
    ] = None,
    train_per_word: TrainPerWord = None,
    train_from: TrainFrom = "train",
    audio: Audio = None,
) -> None:
    """Draw lists for few-shot evaluation: which clips enroll keywords and which test them.

    For each number of takes and each seed, DIR gets a pair of lists such as enroll_k5_s0.txt and test_k5_s0.txt.
    Each take of a keyword is by another speaker; labels that are no keyword are impostors. No file stands in two of
    the enrollment, test and training lists.
    """
    from earmark.data.draws import clips_by_word, draw_few_shot, draw_training
    from earmark.data.manifest import read_manifest

    clips = read_manifest(manifest)
    names = words.read_words(keywords, "--keywords")
    others = None if impostors is None else words.read_words(impostors, "--impostors")
    said = clips_by_word(clips, _splits(splits, "--from"))
    draws = {
        f"k{number}_s{seed}": draw_few_shot(
            said,
            names,
            number,
            seed=seed,
            voices=voices,
            new_speakers=new_speakers,
            impostors=others,
            per_keyword=test_per_keyword,
            per_impostor=test_per_impostor,
        )
        for number in words.read_numbers(takes, "--takes")
        for seed in range(seeds)
    }
    used = [clip for draw in draws.values() for clip in (*draw.enrollment, *draw.test)]
    training: Sequence[Clip] = ()
    if train_words is not None:
        training = draw_training(
            clips_by_word(clips, _splits(train_from, "--train-from")),
            words.read_words(train_words, "--train-words"),
            seed=0,
            per_word=train_per_word,
            without={clip.path for clip in used},
        )
    audio = audio or clips.folder
    listed = _listing(audio, clips)
    quiet = _silence(clips, noise, silence, out, audio)
    files = {f"enroll_{name}.txt": listed(draw.enrollment) for name, draw in draws.items()}
    files |= {f"test_{name}.txt": [*listed(draw.test), *quiet] for name, draw in draws.items()}
    files |= {"train.txt": listed(training)} if training else {}
    _write(files, out, ("enroll_*.txt", "test_*.txt", "train.txt"))
    _print_draws(draws, names, silence)
    if training:
        console.say(_about_training(training, used))
    console.say(_next("few-shot", out, "--audio", audio))


def open_set(
    manifest: ManifestFile,
    targets: Annotated[
        str, typer.Option(metavar="WORDS", help=f"Words to tell apart, {words.WORDS}.", show_default=False)
    ],
    out: Folder,
    seen: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help="Other words to train on, as unknown.", show_default="half of the others, drawn"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    splits: TestFrom = "test",
    train_from: TrainFrom = "train",
    val_from: Annotated[str, typer.Option(metavar="SPLITS", help="Splits to choose thresholds on.")] = "val",
    train_per_word: TrainPerWord = None,
    test_per_target: Annotated[int | None, _most("a target")] = None,
    test_per_unknown: Annotated[int | None, _most("each other word")] = None,
    silence: Annotated[
        int, typer.Option(min=0, help="Seconds of quiet background noise in each list: one more target.")
    ] = 0,
    noise: Noise = None,
    audio: Audio = None,
) -> None:
    """Draw lists for targets among known and new words: train.txt, test.txt and, from clips of val, val.txt.

    Training hears the targets and the seen unknown words; the test also has words that nobody trained on. A word of
    the test that is no target is seen if train.txt has it. No file stands in two of the lists.
    """
    from earmark.data.draws import clips_by_word, draw_open_set
    from earmark.data.manifest import read_manifest

    clips = read_manifest(manifest)
    names = words.read_words(targets, "--targets")
    validation = _splits(val_from, "--val-from")
    draw = draw_open_set(
        clips_by_word(clips, _splits(train_from, "--train-from")),
        clips_by_word(clips, _splits(splits, "--from")),
        names,
        seed=seed,
        val=clips_by_word(clips, validation) if any(clip.label for clip in clips.only(*validation)) else None,
        seen=None if seen is None else words.read_words(seen, "--seen"),
        train_per_word=train_per_word,
        test_per_target=test_per_target,
        test_per_unknown=test_per_unknown,
    )
    audio = audio or clips.folder
    listed = _listing(audio, clips)
    chosen = {"test.txt": draw.test, "train.txt": draw.train} | ({"val.txt": draw.val} if draw.val else {})
    # Each list hears silence of its own.
    quiet = _silence(clips, noise, silence * len(chosen), out, audio)
    parts = [quiet[silence * number : silence * (number + 1)] for number in range(len(chosen))]
    files = {name: [*listed(said), *part] for (name, said), part in zip(chosen.items(), parts, strict=True)}
    _write(files, out, ("test.txt", "train.txt", "val.txt"))
    for name in sorted(files):
        console.say(f"{out / name}: {len(files[name])} lines, {len({clip.label for clip in files[name]})} labels")
    console.say(f"seen unknown words: {', '.join(draw.seen) or 'none'}")
    console.say(f"unseen unknown words: {', '.join(draw.unseen) or 'none'}")
    console.say(_about_training(draw.train, draw.test))
    console.say(_next("open-set", out, "--targets", ",".join(names), "--audio", audio))


def pairs(
    manifest: ManifestFile,
    out: Annotated[Path, typer.Option(help="The list to write.", show_default=False)],
    compared: Annotated[
        str | None,
        typer.Option("--words", metavar="WORDS", help=f"Words to compare, {words.WORDS}.", show_default="all"),
    ] = None,
    splits: Annotated[str, typer.Option("--from", metavar="SPLITS", help="Splits to draw from.")] = "val",
    anchors: Annotated[int, typer.Option(min=1, help="Clips of each word that are compared with others.")] = 10,
    positives: Annotated[int, typer.Option(min=1, help="Clips of its own word beside each anchor.")] = 270,
    negatives: Annotated[int, typer.Option(min=1, help="Clips of each other word beside each anchor.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    audio: Audio = None,
) -> None:
    """Draw pairs of clips that say the same word or two words: lines '1 path path' and '0 path path'.

    With the default sizes, ten words give the 54,000 pairs of the validation list of LibriSpeech Keywords.
    """
    from earmark.data.draws import clips_by_word, draw_pairs
    from earmark.data.lists.clip_lists import ClipPair, write_pairs
    from earmark.data.manifest import read_manifest

    clips = read_manifest(manifest)
    said = clips_by_word(clips, _splits(splits, "--from"))
    chosen = list(said) if compared is None else words.read_words(compared, "--words")
    listed = _listing(audio or clips.folder, clips)
    drawn = list(draw_pairs(said, chosen, seed=seed, anchors=anchors, positives=positives, negatives=negatives))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_pairs((ClipPair(same, *(clip.path for clip in listed(two))) for same, *two in drawn), out)
    same = sum(is_same for is_same, *_ in drawn)
    console.say(f"{out}: {len(drawn)} pairs of {len(chosen)} words, {same} of them of one word")


def from_lists(
    out: Annotated[Path, typer.Option(help="The manifest to write: .tsv or .parquet.", show_default=False)],
    audio: Annotated[Path, typer.Option(help="Folder that the paths in the lists start from.", show_default=False)],
    train: Annotated[Path | None, typer.Option(metavar="LIST", help="Clips for training.", show_default="none")] = None,
    val: Annotated[Path | None, typer.Option(metavar="LIST", help="Clips for validation.", show_default="none")] = None,
    test: Annotated[Path | None, typer.Option(metavar="LIST", help="Clips for testing.", show_default="none")] = None,
    speaker_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Searched in the path; its first group is the speaker.",
            show_default="SPEAKER_nohash_NUMBER",
        ),
    ] = None,
    speakers: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST", help="Knows the speakers, instead of the paths.", show_default="none"),
    ] = None,
) -> None:
    """Make a manifest of published lists, one 'label path' a line; a clip that stands there twice stays twice."""
    from earmark.data.corpora.folder import SPEAKER_PATTERN, speaker_finder
    from earmark.data.lists.clip_lists import known_speakers, manifest_of, read_list
    from earmark.data.manifest import read_manifest, write_manifest

    if speakers and speaker_pattern:
        raise InputError("--speakers and --speaker-pattern: give one of them")
    given = {"train": train, "val": val, "test": test}
    read = {split: read_list(path, audio=audio, repeats=True) for split, path in given.items() if path is not None}
    if not read:
        raise InputError("--train, --val, --test: name at least one list")
    speaker_of = (
        known_speakers(read_manifest(speakers), audio)
        if speakers
        else speaker_finder(speaker_pattern or SPEAKER_PATTERN)
    )
    manifest = manifest_of(read, audio, speaker_of=speaker_of)
    write_manifest(manifest, out)
    console.say(f"{out}: {counted(manifest)}")


def _splits(text: str, option: str) -> tuple[str, ...]:
    splits = tuple(part.strip() for part in text.split(",") if part.strip())
    if not splits:
        raise InputError(f"{option}: names no split; part splits by commas, as in train,val")
    return splits


def _listing(audio: Path, manifest: "Manifest") -> "Callable[[Iterable[Clip]], list[ListedClip]]":
    from earmark.data.lists.clip_lists import listing_from

    # A clip stands in many lists, and asking the disk for it takes a while.
    listed = cache(listing_from(audio, manifest))
    return lambda clips: [listed(clip) for clip in clips]


def _silence(manifest: "Manifest", noise: Path | None, count: int, out: Path, audio: Path) -> "list[ListedClip]":
    """Write seconds of silence under `out`, the same ones at every call."""
    from earmark.data.manifest import read_manifest
    from earmark.data.silence import write_silence

    if not count:
        return []
    noises = (manifest if noise is None else read_manifest(noise)).only("noise")
    if not len(noises):
        raise InputError("--silence: the manifest has no clips of split noise; name one that has with --noise")
    written = write_silence(noises, out, count)
    return _listing(audio, written)(written)


def _write(files: "Mapping[str, Sequence[ListedClip]]", out: Path, kinds: Iterable[str]) -> None:
    """Write lists into a folder that has no others of these kinds, which would be taken for lists of this draw."""
    from earmark.data.lists.clip_lists import write_list

    foreign = sorted({path.name for kind in kinds for path in out.glob(kind)} - files.keys())
    if foreign:
        raise InputError(f"{out / foreign[0]}: a list of another draw; remove it, or name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    for name, listed in files.items():
        write_list(listed, out / name)


def _next(*words: object) -> str:
    return f"measure with: earmark evaluate {shlex.join(map(str, words))}"


def _print_draws(draws: "Mapping[str, FewShotDraw]", keywords: Sequence[str], silence: int) -> None:
    from earmark.data.lists.clip_lists import listed_label

    rows = []
    for name, draw in draws.items():
        positive = sum(listed_label(clip.label) in keywords for clip in draw.test)
        counts = (len(keywords), len(draw.enrollment), positive, len(draw.test) - positive, silence)
        rows.append([name, *map(str, counts)])
    console.print_table(["lists", ">keywords", ">takes", ">test clips", ">of other words", ">of silence"], rows)


def _about_training(training: "Sequence[Clip]", tested: "Iterable[Clip]") -> str:
    speakers = {clip.speaker for clip in training} & {clip.speaker for clip in tested} - {""}
    return (
        f"train.txt: {len(training)} lines of {len({clip.label for clip in training})} words,"
        f" {len({clip.path for clip in training})} different clips; speakers that are also in the other lists:"
        f" {len(speakers) or 'none'}"
    )
