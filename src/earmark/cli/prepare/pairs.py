"""`earmark prepare pairs`: draw pairs of clips of the same word, and of different words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import WORDS, ListAudio, read_splits, read_words
from earmark.cli.settings import options_from

if TYPE_CHECKING:
    from earmark.data.draws import PairSizes


@command(panel="Lists", example="earmark prepare pairs keywords/manifest.tsv --out trials/pairs.txt")
@options_from("earmark.data.draws:PairSizes", "sizes")
def pairs(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="Clips to draw from.")],
    out: Annotated[Path, typer.Option(help="List to write.")],
    sizes: "PairSizes",
    compared: Annotated[
        str | None, typer.Option("--words", metavar="WORDS", help=f"Words to compare, {WORDS}; all if not given.")
    ] = None,
    splits: Annotated[str, typer.Option("--from", metavar="SPLITS", help="Splits to draw from.")] = "val",
    audio: ListAudio = None,
) -> None:
    """Draw pairs of clips of one word or of two words: lines '1 path path' and '0 path path'.

    With the default sizes, ten words give the 54,000 pairs of the validation list of LibriSpeech Keywords.
    """
    from functools import cache

    from earmark.data.draws import clips_by_word, draw_word_pairs
    from earmark.data.lists.clip_lists import ClipPair, listing_from, write_pairs
    from earmark.data.manifest import read_manifest

    clips = read_manifest(manifest)
    words = clips_by_word(clips, read_splits(splits, "--from"))
    chosen = list(words) if compared is None else read_words(compared, "--words")
    listed = cache(listing_from(audio or clips.folder, clips))
    drawn = [
        ClipPair(is_same, listed(anchor).path, listed(other).path)
        for is_same, anchor, other in draw_word_pairs(words, chosen, sizes)
    ]
    write_pairs(drawn, out)
    same = sum(pair.is_same for pair in drawn)
    console.say(f"{out}: {len(drawn)} pairs of {len(chosen)} words, {same} of them of one word")
