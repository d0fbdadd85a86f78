"""`earmark prepare segments`: all segments of sections on a grid."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.prepare.vad import check_out, given
from earmark.core.errors import EarmarkError
from earmark.core.progress import follow

if TYPE_CHECKING:
    from earmark.data.lists.segments import SpeechSegment

EXAMPLE = "Example: [bold]earmark prepare segments data/sections.txt --out data/segments.txt[/bold]"

# The defaults stand in Grid, which is slow to import; a test keeps the words here true.


def segments(
    sections: Annotated[
        Path,
        typer.Argument(
            metavar="SECTIONS",
            help="List of lines 'wav spk vad_start vad_end', or a manifest whose clips are sections.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="List to write, lines 'wav spk vad_start vad_end seg_start seg_end label'; or a manifest.",
            show_default=False,
        ),
    ],
    step: Annotated[
        float | None, typer.Option(help="Seconds between the lines of the grid.", show_default="0.16")
    ] = None,
    shortest: Annotated[
        float | None, typer.Option(help="Seconds of the shortest segment.", show_default="0.16")
    ] = None,
    longest: Annotated[float | None, typer.Option(help="Seconds of the longest segment.", show_default="0.96")] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that the paths start from; then every section has to lie inside its recording.",
            show_default="not looked at",
        ),
    ] = None,
) -> None:
    """List all segments of sections that begin and end on a grid, labeled NOTRANS.

    The grid begins where a section begins. The list is written line by line: millions of them take no memory.
    """
    from earmark.data.lists.sections import read_sections
    from earmark.data.lists.segments import write_segments
    from earmark.data.segments.grid import Grid, grid_segments

    check_out(out, sections)
    grid = Grid(**given(step_s=step, shortest_s=shortest, longest_s=longest))
    asked = too_short = 0

    def made() -> Iterator["SpeechSegment"]:
        nonlocal asked, too_short
        for section in read_sections(sections, audio=audio):
            asked += 1
            too_short += not grid.count(section)
            yield from grid_segments([section], grid)

    with console.progress_bar() as progress:
        count = write_segments(follow(made(), "cutting segments", progress), out, folder=audio or sections.parent)
    if not count:
        out.unlink(missing_ok=True)
        raise EarmarkError(f"{sections}: all {asked} sections are shorter than {grid.least_s:g} s; lower --shortest")
    console.say(f"{out}: {count} segments of {asked} sections")
    if too_short:
        console.say(f"left out: {too_short} sections shorter than {grid.least_s:g} s")
