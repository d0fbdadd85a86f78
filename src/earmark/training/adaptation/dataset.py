"""Dataset of an adaptation: sections with speech and their segments, divided into training and held-out parts."""

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

_LEAST_UNITS = 4  # two for training and two held out, because a pair needs two


@dataclass(frozen=True)
class DatasetPart:
    """The lists of one part of the recordings: the training part, or the part that is held out for validation.

    Attributes:
        sections: list of the sections with speech.
        segments: list of the segments that the sections are divided into.
        audio: folder that the paths in the lists start from; None if the lists are manifests.
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
    """The speech that an adaptation uses, divided into a training part and a held-out part.

    Attributes:
        training: part for mining and training.
        held_out: part for the held-out loss; None if validation uses labeled segments.
        speech_s: seconds of speech in both parts.
        recordings: number of recordings with speech.
        unit: `speakers` or `recordings`: pairs are mined across them, and whole units are held out.
        failures: messages about recordings that were dropped.
    """

    training: DatasetPart
    held_out: DatasetPart | None
    speech_s: float
    recordings: int
    unit: str
    failures: Sequence[str]

    @property
    def units(self) -> int:
        """Number of speakers in both parts, or of recordings where speakers are unknown."""
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
    """Find the speech in recordings, and write lists of its sections and segments for training and validation.

    Speakers are held out if the speakers of all recordings are known and there are four or more. Otherwise, recordings
    are held out.

    Args:
        manifest: the recordings.
        out: folder for the lists, and for a log of the sections found so far.
        share: share of the speakers or recordings to hold out.
        seed: seed of the random choice.
        without: recordings to leave out, because validation uses their labeled segments.
        has_labels: whether validation uses labeled segments; if so, nothing is held out.
        workers: number of processes.
        progress: counts recordings.

    Raises:
        InputError: there are too few recordings.
        EarmarkError: the recordings contain no speech, or none can be read.
    """
    sections, failures = find_sections(manifest, out / "sections.jsonl", TIGHT, workers=workers, progress=progress)
    sections = _usable(sections, manifest, failures, without)
    sections, unit = _with_units(sections)
    units = list(dict.fromkeys(map(_unit, sections)))
    needed = 2 if has_labels else _LEAST_UNITS
    if len(units) < needed:
        raise InputError(
            f"{manifest.folder}: {len(units)} {unit} have speech, but at least {needed} are needed for pairs across "
            f"{unit}; add recordings, or cut a long recording into several"
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
    """Select the sections that are long enough for a segment and not of a recording in `without`.

    Args:
        sections: sections of speech.
        manifest: all recordings.
        failures: reason for each recording that cannot be read.
        without: recordings to leave out, because validation uses their labeled segments.

    Raises:
        EarmarkError: no section is long enough.
        InputError: all sections are of recordings to leave out.
    """
    found = [section for section in sections if GRID.count(section)]
    if not found:
        reason = next(iter(failures.values()), "they contain no speech")
        raise EarmarkError(
            f"{manifest.folder}: none of {len(manifest)} recordings has a section of speech ({reason}); add others"
        )
    left_out = {section.path for section in found if (manifest.folder / section.path).resolve() in without}
    kept = [section for section in found if section.path not in left_out]
    if not kept:
        raise InputError(
            "the list has labeled segments of every recording, so that no recording is left for training; "
            "label segments of fewer recordings",
            key="validation",
        )
    return kept


def _write_part(sections: Sequence[Span], audio: Path, out: Path, prefix: str, suffix: str) -> DatasetPart:
    """Write lists of sections and of their segments into the folder `out`; return the paths and sizes of the lists.

    Args:
        sections: sections of speech.
        audio: folder that the paths of the sections start from.
        out: folder for the lists.
        prefix: beginning of the file names.
        suffix: `txt` for lists, or `parquet` for manifests.
    """
    paths = [out / f"{prefix}{what}.{suffix}" for what in ("sections", "segments")]
    write_sections(sections, paths[0], folder=audio)
    write_segments(grid_segments(sections, GRID), paths[1], folder=audio)
    count = sum(map(GRID.count, sections))
    return DatasetPart(paths[0], paths[1], audio if suffix == "txt" else None, count, len({*map(_unit, sections)}))


def _with_units(sections: Sequence[Span]) -> tuple[list[Span], str]:
    """Decide whether pairs are mined and validated across speakers or across recordings.

    Returns:
        The sections, and `speakers` if all sections have a speaker and there are enough speakers. Otherwise the
        sections without their speakers, and `recordings`.
    """
    speakers = {section.speaker for section in sections}
    if "" not in speakers and len(speakers) >= _LEAST_UNITS:
        return list(sections), "speakers"
    return [replace(section, speaker="") for section in sections], "recordings"


def _unit(section: Span) -> str:
    return section.speaker or section.path


def _needs_manifest(section: Span) -> bool:
    """Whether a text list cannot contain the path or speaker of a section, so that a manifest is needed."""
    return any(any(map(str.isspace, text)) or text == UNKNOWN for text in (section.path, section.speaker))
