"""`earmark prepare segments`: list all segments inside sections that begin and end on a grid."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import SegmentsOut, check_out
from earmark.cli.settings import options_from
from earmark.core.errors import EarmarkError
from earmark.core.progress import follow

if TYPE_CHECKING:
    from earmark.data.lists.segments import SpeechSegment
    from earmark.data.segments.grid import Grid


@command(
    panel="Sections and segments of recordings",
    example="earmark prepare segments data/sections.txt --out data/segments.txt",
)
@options_from("earmark.data.segments.grid:Grid", "grid")
def segments(
    sections: Annotated[
        Path,
        typer.Argument(
            metavar="SECTIONS",
            help="List of lines 'wav spk vad_start vad_end', or a manifest whose clips are sections.",
        ),
    ],
    out: SegmentsOut,
    grid: "Grid",
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that the paths start from; if given, check that each section is inside its recording.",
        ),
    ] = None,
) -> None:
    """List all segments of sections that begin and end on a grid, with the label NOTRANS.

    The grid begins at the start of a section. The list is written line by line, so millions need little memory.
    """
    from earmark.data.lists.segments import write_segments

    check_out(out, sections)
    counts: Counter[str] = Counter()
    with console.progress_bar() as progress:
        found = follow(_segments(sections, audio, grid, counts), "listing segments", progress)
        count = write_segments(found, out, folder=audio or sections.parent)
    if not count:
        out.unlink(missing_ok=True)
        raise EarmarkError(
            f"{sections}: all {counts['sections']} sections are shorter than {grid.least_s:g} s; lower --shortest"
        )
    console.say(f"{out}: {count} segments of {counts['sections']} sections")
    if counts["short"]:
        console.say(f"dropped: {counts['short']} sections shorter than {grid.least_s:g} s")


def _segments(sections: Path, audio: Path | None, grid: "Grid", counts: Counter[str]) -> Iterator["SpeechSegment"]:
    """Yield the segments of all sections; count the sections, and the too short ones, in `counts`."""
    from earmark.data.lists.sections import read_sections
    from earmark.data.segments.grid import grid_segments

    for section in read_sections(sections, audio=audio):
        counts["sections"] += 1
        counts["short"] += not grid.count(section)
        yield from grid_segments([section], grid)
