"""The dataset of an adaptation: sections with speech and their segments, for training and held out."""

from collections.abc import Mapping, Sequence
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

_LEAST_UNITS = 4  # two for training and two held out: a pair needs two


@dataclass(frozen=True)
class DatasetPart:
    """Lists of one part of the recordings.

    Attributes:
        sections: list of the sections with speech.
        segments: list of all their segments on the grid.
        audio: folder that the lists' paths start from; None for manifests.
        count: number of segments.
        units: number of speakers, or of recordings where speakers are unknown.
    """

    sections: Path
    segments: Path
    audio: Path | None
    count: int
    units: int


@dataclass(frozen=True)
class Dataset:
    """The dataset of an adaptation.

    Attributes:
        training: the part for mining and training.
        held_out: the part for the held-out loss; None where labeled segments validate.
        speech_s: seconds of speech in both.
        recordings: number of recordings with speech.
        unit: what was held out: `speakers` or `recordings`.
        failures: why recordings were dropped.
    """

    training: DatasetPart
    held_out: DatasetPart | None
    speech_s: float
    recordings: int
    unit: str
    failures: Sequence[str]

    @property
    def units(self) -> int:
        """Number of speakers or recordings in both parts."""
        return self.training.units + (self.held_out.units if self.held_out else 0)


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
) -> Dataset:
    """Find the sections with speech, divide them into parts, and write the lists.

    Whole speakers are held out if the speakers of all recordings are known and there are enough; otherwise recordings.

    Args:
        manifest: the recordings.
        out: folder for the lists, and for a checkpoint log of the found sections.
        share: share of the speakers or recordings to hold out.
        seed: of the random choice.
        without: recordings to leave out, because their labeled segments validate.
        has_labels: whether labeled segments validate; then nothing is held out.
        workers: number of processes.
        progress: counts recordings.

    Raises:
        InputError: too few recordings.
        EarmarkError: no speech, or no readable recording.
    """
    sections, failures = find_sections(manifest, out / "sections.jsonl", TIGHT, workers=workers, progress=progress)
    sections = _usable(sections, manifest, failures, without)
    sections, unit = _with_units(sections)
    units = list(dict.fromkeys(map(_unit, sections)))
    needed = 2 if has_labels else _LEAST_UNITS
    if len(units) < needed:
        raise InputError(
            f"{manifest.folder}: speech in {len(units)} of its {unit}; pairs need {needed}, because they are mined "
            "across them; add recordings, or cut a long one into several"
        )
    chosen = set()
    if not has_labels:
        count = min(len(units) - 2, max(2, round(share * len(units))))
        chosen = {units[row] for row in np.random.default_rng(seed).permutation(len(units))[:count].tolist()}
    training, held_out = (
        [one for one in sections if (_unit(one) in chosen) == is_chosen] for is_chosen in (False, True)
    )
    suffix = "parquet" if any(_needs_manifest(section) for section in sections) else "txt"
    return Dataset(
        _write_part(training, manifest.folder, out, "", suffix),
        _write_part(held_out, manifest.folder, out, "held-out-", suffix) if held_out else None,
        sum(section.end_s - section.start_s for section in sections),
        len({section.path for section in sections}),
        unit,
        [*failures.values()],
    )


def _usable(
    sections: Sequence[Span], manifest: Manifest, failures: Mapping[str, str], without: frozenset[Path]
) -> list[Span]:
    """Sections with segments on the grid, without the recordings to leave out."""
    found = [section for section in sections if GRID.count(section)]
    if not found:
        reason = next(iter(failures.values()), "they contain no speech")
        raise EarmarkError(f"{manifest.folder}: no section in {len(manifest)} recordings: {reason}")
    left_out = {section.path for section in found if (manifest.folder / section.path).resolve() in without}
    kept = [section for section in found if section.path not in left_out]
    if not kept:
        raise InputError("contains segments of every recording, so that none is left to train on", key="validation")
    return kept


def _write_part(sections: Sequence[Span], audio: Path, out: Path, prefix: str, suffix: str) -> DatasetPart:
    """Write the lists of sections and of their segments."""
    paths = [out / f"{prefix}{what}.{suffix}" for what in ("sections", "segments")]
    write_sections(sections, paths[0], folder=audio)
    write_segments(grid_segments(sections, GRID), paths[1], folder=audio)
    count = sum(map(GRID.count, sections))
    return DatasetPart(paths[0], paths[1], audio if suffix == "txt" else None, count, len({*map(_unit, sections)}))


def _with_units(sections: Sequence[Span]) -> tuple[list[Span], str]:
    """Sections, and whether pairs are mined across `speakers` or `recordings`; then the sections have no speakers."""
    speakers = {section.speaker for section in sections}
    if "" not in speakers and len(speakers) >= _LEAST_UNITS:
        return list(sections), "speakers"
    return [replace(section, speaker="") for section in sections], "recordings"


def _unit(section: Span) -> str:
    return section.speaker or section.path


def _needs_manifest(section: Span) -> bool:
    """Whether a list cannot hold the path or speaker."""
    return any(any(map(str.isspace, text)) or text == UNKNOWN for text in (section.path, section.speaker))
