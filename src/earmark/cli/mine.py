"""`earmark mine`: pairs of segments that are alike, without labels."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.evaluate import retrieve
from earmark.cli.extras import needs
from earmark.core.errors import InputError


@command(panel="Data", example="earmark mine data/segments.txt --audio corpus --out runs/pairs")
def mine(
    source: retrieve.Source,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for pairs, report and what is in between.", show_default=False)
    ],
    audio: retrieve.Audio = None,
    encoder: retrieve.EncoderName = None,
    split: retrieve.Split = None,
    same_speaker: Annotated[
        bool, typer.Option("--same-speaker", help="Neighbors are segments of the same speaker.")
    ] = False,
    across_speakers: Annotated[
        bool, typer.Option("--across-speakers", help="Neighbors are segments of other speakers.")
    ] = False,
    anybody: Annotated[bool, typer.Option("--any", help="Neighbors are segments of anybody: the default.")] = False,
    mutual: Annotated[
        bool, typer.Option("--mutual", help="Keep a pair only where each is a neighbor of the other.")
    ] = False,
    coverage: Annotated[
        float | None,
        typer.Option(help="Share of segments that shall have a neighbor; sets the threshold.", show_default="0.5"),
    ] = None,
    neighbors: Annotated[
        int | None, typer.Option("-k", "--neighbors", help="Neighbors of a segment.", show_default="10")
    ] = None,
    snippets: Annotated[bool, typer.Option("--snippets", help="Also write the examples as sound files.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for any setting; may be repeated."),
    ] = None,
) -> None:
    """Find segments that are alike: nearest neighbors of their embeddings, as many as make the wanted coverage.

    A segment's neighbors are never itself, nor what overlaps with it in its recording. Writes the pairs as pairs.txt
    ('file1 spk1 s1 e1 file2 spk2 s2 e2 similarity') and as a manifest, pairs.parquet, in which the two clips of a pair
    share a label; report.md, results.json and two pictures. The folder keeps the embeddings: the same command goes on
    where it was stopped, and another threshold takes seconds.
    """
    with needs("train"):
        from earmark.core.config import checked, set_keys
        from earmark.training.mining import MiningSettings
        from earmark.training.mining import mine as mine_pairs
        from earmark.training.mining.report import rows

    chosen = {"same": same_speaker, "across": across_speakers, "any": anybody}
    relations = [name for name, is_chosen in chosen.items() if is_chosen]
    if len(relations) > 1:
        raise InputError("--same-speaker, --across-speakers, --any: one of them, not several")
    table: dict[str, Any] = {"relation": relations[0]} if relations else {}
    given = {"coverage": coverage, "neighbors": neighbors, "is_mutual": mutual or None}
    table |= {key: value for key, value in given.items() if value is not None}
    set_keys(table, overrides or [], MiningSettings)
    settings = checked(MiningSettings, table, "earmark mine")
    embedder = retrieve.load(encoder, spoken=True)
    with console.progress_bar() as progress:
        mined = mine_pairs(
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
    console.print_table(["of", "found"], rows(mined), f"{source}: {mined.counts.pairs:,} pairs")
    if not mined.speakers and settings.relation != "any":
        console.say("who speaks is not known: every recording counted as a voice of its own; name speakers in the list")
    console.say(f"wrote {out}")
