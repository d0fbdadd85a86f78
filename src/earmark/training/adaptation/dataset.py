"""From recordings to lists: sections in which somebody speaks, and all their segments on the grid, in two parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from earmark.core.errors import EarmarkError, InputError
from earmark.core.progress import Progress, no_progress
from earmark.data.lists.sections import write_sections
from earmark.data.lists.segments import write_segments
from earmark.data.lists.spans import UNKNOWN, Span
from earmark.data.manifest import Manifest
from earmark.data.segments.grid import grid_segments
from earmark.data.vad import find_sections
from earmark.training.adaptation.settings import GRID, TIGHT

_LEAST_UNITS = 4  # two to learn from and two to measure on: a pair is of two


@dataclass(frozen=True)
class Part:
    """Lists of some of the recordings.

    Attributes:
        sections: in which somebody speaks.
        segments: all of their segments on the grid.
        audio: folder that the lists' paths start from; None where they are manifests.
        count: how many segments there are.
        units: how many speakers, or recordings where nobody is known.
    """

    sections: Path
    segments: Path
    audio: Path | None
    count: int
    units: int


@dataclass(frozen=True)
class Material:
    """What there is to learn from and to measure on.

    Attributes:
        learned: what teaches.
        held_out: what the loss is measured on; None where there are too few recordings, or labels measure.
        speech_s: seconds of speech in both.
        recordings: with speech.
        unit: what was held out: `speakers` or `recordings`.
        failures: why recordings were left out.
    """

    learned: Part
    held_out: Part | None
    speech_s: float
    recordings: int
    unit: str
    failures: Sequence[str]


def prepare(
    manifest: Manifest,
    out: Path,
    *,
    share: float,
    seed: int,
    without: frozenset[Path] = frozenset(),
    has_labels: bool = False,
    workers: int = 1,
    progress: Progress = no_progress,
) -> Material:
    """Find where somebody speaks, and write the lists.

    Whole speakers are held out where every recording's is known and there are enough; else recordings.

    Args:
        manifest: of the recordings.
        out: folder for the lists; a journal in it keeps what was heard.
        share: of the speakers or recordings to hold out.
        seed: of the draw.
        without: recordings that nothing is learned from, because labels of them measure what is.
        has_labels: labeled segments measure: nothing need be held out.
        workers: processes.
        progress: counts recordings.

    Raises:
        InputError: too few recordings.
        EarmarkError: nobody speaks, or no recording can be read.
    """
    sections, failures = find_sections(manifest, out / "sections.jsonl", TIGHT, workers=workers, progress=progress)
    grid = GRID
    sections = [section for section in sections if grid.count(section)]
    if not sections:
        reason = next(iter(failures.values()), "nobody speaks in them")
        raise EarmarkError(f"{manifest.folder}: no speech in {len(manifest)} recordings: {reason}")
    if without:
        measured = {section.path for section in sections if (manifest.folder / section.path).resolve() in without}
        sections = [section for section in sections if section.path not in measured]
        if not sections:
            raise InputError("--validation: names every recording of the corpus, so that none is left to learn from")
    sections, unit = _with_units(sections)
    units = list(dict.fromkeys(map(_unit, sections)))
    least = 2 if has_labels else _LEAST_UNITS
    if len(units) < least:
        raise InputError(
            f"{manifest.folder}: speech in {len(units)} of its {unit}, but {least} are needed, as a word "
            "teaches where it is said again in another; add recordings, or cut a long one into several"
        )
    chosen = set()
    if not has_labels:
        count = min(len(units) - 2, max(2, round(share * len(units))))
        chosen = {units[row] for row in np.random.default_rng(seed).permutation(len(units))[:count].tolist()}
    suffix = "parquet" if any(_needs_manifest(section) for section in sections) else "txt"

    def part(name: str, some: Sequence[Span]) -> Part:
        paths = [out / f"{name}{what}.{suffix}" for what in ("sections", "segments")]
        write_sections(some, paths[0], folder=manifest.folder)
        write_segments(grid_segments(some, grid), paths[1], folder=manifest.folder)
        audio = manifest.folder if suffix == "txt" else None
        return Part(paths[0], paths[1], audio, sum(map(grid.count, some)), len({*map(_unit, some)}))

    return Material(
        part("", [section for section in sections if _unit(section) not in chosen]),
        part("held-out-", [section for section in sections if _unit(section) in chosen]) if chosen else None,
        sum(section.end_s - section.start_s for section in sections),
        len({section.path for section in sections}),
        unit,
        [*failures.values()],
    )


def _with_units(sections: Sequence[Span]) -> tuple[list[Span], str]:
    """Sections with speakers only where a word may be looked for in another's mouth; and what a word's places are."""
    speakers = {section.speaker for section in sections}
    if "" not in speakers and len(speakers) >= _LEAST_UNITS:
        return list(sections), "speakers"
    # Recordings of nobody known count as so many speakers.
    return [replace(section, speaker="") for section in sections], "recordings"


def _unit(section: Span) -> str:
    return section.speaker or section.path


def _needs_manifest(section: Span) -> bool:
    return any(any(map(str.isspace, text)) or text == UNKNOWN for text in (section.path, section.speaker))
