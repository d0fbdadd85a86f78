"""`earmark mine`: find pairs of similar segments, without labels."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.evaluate import retrieve
from earmark.cli.settings import Flag, options_from
from earmark.core.errors import needs

if TYPE_CHECKING:
    from earmark.training.mining.settings import MiningSettings

_RARE = ("bin_width", "dimension", "pca_rows", "longest_s", "exact_rows", "probes", "part_rows")


@command(panel="Data", example="earmark mine data/segments.txt --audio corpus --out runs/pairs")
@options_from(
    "earmark.training.mining.settings:MiningSettings",
    flags={"neighbors": Flag(short="-k"), **{key: Flag(panel="Search") for key in _RARE}},
)
def mine(
    source: retrieve.Source,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pairs, the report and intermediate results.")],
    settings: "MiningSettings",
    audio: retrieve.Audio = None,
    encoder: retrieve.EncoderName = None,
    split: retrieve.Split = None,
    snippets: Annotated[
        bool, typer.Option("--snippets", help="Also write the example pairs of the report as audio.")
    ] = False,
) -> None:
    """Find pairs of similar segments: nearest neighbors of their embeddings, up to the wanted coverage.

    A segment and its neighbors never overlap. Writes the pairs as pairs.txt ('file1 spk1 s1 e1
    file2 spk2 s2 e2 similarity') and as a manifest, pairs.parquet, in which the two clips of a pair share a label;
    report.md, results.json and two plots. The folder keeps the embeddings: the same command continues interrupted work,
    and mining with another threshold takes seconds.
    """
    with needs("train"):
        from earmark.training.mining.mining import mine as mine_pairs
        from earmark.training.mining.report import summary

    embedder = retrieve.load(encoder, spoken=True)
    with console.progress_bar() as progress:
        result = mine_pairs(
            source,
            embedder,
            out,
            settings,
            audio=audio,
            split=split,
            snippets=snippets,
            command=["earmark", *sys.argv[1:]],
            progress=progress,
        )
    console.print_table(["of", "found"], summary(result), f"{source}: {result.counts.pairs:,} pairs")
    if not result.speakers and settings.relation != "any":
        console.say(
            "speakers are unknown, so every recording counts as a speaker of its own; name the speakers in the list"
        )
    console.say(f"wrote {out}")
