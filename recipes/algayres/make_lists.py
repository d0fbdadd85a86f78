"""Write the lists for docs/reports/sequences to data/sequences.

The lists name two corpora, and words that are cut out of the first one. Run these commands from the project's folder:

    earmark prepare keywords ../shared/data/speechocean762/manifest.tsv --text-from label --split train \
      --recognizer none --length 0 --out data/sequences/cut/train/manifest.parquet
    earmark prepare keywords ../shared/data/speechocean762/manifest.tsv --text-from label --split test \
      --recognizer none --length 0 --out data/sequences/cut/test/manifest.parquet
    python recipes/algayres/make_lists.py ../shared/data data/sequences
    earmark prepare vad data/sequences/manifest.tsv --split train --padding 0.02 --min-silence 0.1 \
      --min-speech 0.16 --out data/sequences/sections.txt
    earmark prepare segments data/sequences/sections.txt --shortest 0.32 --out data/sequences/grid.txt

The test lists arabic.tsv, mandarin.tsv and english.tsv name words of three other corpora. Every eighth speaker of the
training half of speechocean762 is held out; the best checkpoint is chosen on words of these speakers. new-words.tsv
names words of the test half that are not in the training half, so that training with labels has no advantage on them.
"""

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest

HELD_OUT = 8
SHORTEST_S = 0.16


def main() -> None:
    """Read the corpora and the cut words, write manifests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path, help="folder of speechocean762 and librispeech_one_each")
    parser.add_argument("out", type=Path, help="folder to write, which has the cut words in cut/train and cut/test")
    given = parser.parse_args()
    spoken = read_manifest(given.corpora / "speechocean762" / "manifest.tsv")
    speakers = sorted({clip.speaker for clip in spoken if clip.split == "train"})
    held_out = set(speakers[::HELD_OUT])

    def split_of(clip: Clip) -> str:
        return "dev" if clip.speaker in held_out else clip.split

    read = read_manifest(given.corpora / "librispeech_one_each" / "manifest.tsv")
    sentences = [replace(clip, split=split_of(clip)) for clip in from_here(spoken, given.out)]
    write([*sentences, *from_here(read, given.out)], given.out, "manifest")

    words = {half: [*cut_words(given.out, half)] for half in ("train", "test")}
    gold = [clip for clip in words["train"] if split_of(clip) == "train"]
    known = {clip.label for clip in gold}
    write(gold, given.out, "gold-words")
    write(by_several_speakers([clip for clip in words["train"] if split_of(clip) == "dev"]), given.out, "dev-words")
    write(by_several_speakers(words["test"]), given.out, "test-words")
    write(by_several_speakers([clip for clip in words["test"] if clip.label not in known]), given.out, "new-words")

    # Isolated words in three languages. Every third take, so that a language takes a minute to embed.
    arabic, mandarin, english = (
        [*from_here(read_manifest(given.corpora / name / "manifest.tsv"), given.out)]
        for name in ("arabic_commands", "dspspeech", "speech_commands_test")
    )
    write([clip for clip in arabic if clip.split == "test"][::3], given.out, "arabic")
    write([clip for clip in mandarin if not clip.label.isascii()][::3], given.out, "mandarin")
    write([clip for clip in english if not clip.label.startswith("_")][::3], given.out, "english")


def from_here(manifest: Manifest, folder: Path) -> Iterator[Clip]:
    """Yield the clips of a manifest with paths that start from `folder`."""
    for clip in manifest:
        yield replace(clip, path=os.path.relpath(manifest.locate(clip), folder.resolve()))


def cut_words(folder: Path, half: str) -> Iterator[Clip]:
    """Yield words that `earmark prepare keywords` cut, without audio of their neighbors."""
    manifest = read_manifest(folder / "cut" / half / "tight.parquet")
    for clip in from_here(manifest, folder):
        if clip.end_s is not None and clip.end_s - clip.start_s >= SHORTEST_S:
            yield replace(clip, split=half)


def by_several_speakers(clips: Iterable[Clip]) -> list[Clip]:
    """Clips of words with at least two speakers."""
    clips = [*clips]
    speakers: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        speakers[clip.label].add(clip.speaker)
    return [clip for clip in clips if len(speakers[clip.label]) > 1]


def write(clips: list[Clip], folder: Path, name: str) -> None:
    """Write a manifest and print its size."""
    write_manifest(Manifest(tuple(clips), folder), folder / f"{name}.tsv")
    voices = len({clip.speaker for clip in clips})
    print(f"{folder / name}.tsv: {len(clips)} clips, {len({clip.label for clip in clips})} labels, {voices} speakers")


if __name__ == "__main__":
    main()
