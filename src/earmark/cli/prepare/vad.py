"""`earmark prepare vad`: find the sections of recordings that contain speech."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import SpeakerPattern, Split, Workers, check_out, process_count
from earmark.cli.settings import options_from
from earmark.core.errors import EarmarkError, InputError

if TYPE_CHECKING:
    from earmark.data.manifest import Manifest
    from earmark.data.vad import VadSettings


@command(panel="Sections and segments of recordings", example="earmark prepare vad recordings --out data/sections.txt")
@options_from("earmark.data.vad:VadSettings")
def vad(
    source: Annotated[Path, typer.Argument(metavar="FOLDER|MANIFEST", help="Recordings, or a manifest of them.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="List to write, lines 'wav spk vad_start vad_end'; or a manifest, .tsv or .parquet."
        ),
    ],
    settings: "VadSettings",
    split: Split = None,
    speaker_pattern: SpeakerPattern = None,
    workers: Workers = None,
) -> None:
    """Find the sections of recordings that contain speech, by silero's voice activity detector.

    Paths in the list start from FOLDER, or from the folder of MANIFEST. A .jsonl file beside the list is the checkpoint
    log: an interrupted command continues when run again. Recordings that cannot be read are dropped with a warning.
    Clips of noise and rooms are ignored.
    """
    from earmark.data.lists.sections import SECTIONS, write_sections
    from earmark.data.lists.spans import Span
    from earmark.data.manifest import is_manifest
    from earmark.data.vad import find_sections

    check_out(out, source)
    manifest = read_speech(source, split, speaker_pattern)
    if not is_manifest(out):
        for clip in manifest:  # a path that the list cannot hold is an error before the work starts
            SECTIONS.format(Span(clip.path, clip.speaker, 0.0, 1.0))
    with console.progress_bar() as progress:
        sections, failures = find_sections(
            manifest, out.with_suffix(".jsonl"), settings, workers=process_count(workers), progress=progress
        )
    if not sections:
        reason = next(iter(failures.values()), "they contain no speech; try a lower --threshold")
        raise EarmarkError(f"{source}: no section in {len(manifest)} clips: {reason}")
    write_sections(sections, out, folder=manifest.folder)
    for reason in failures.values():
        console.show_warning(f"dropped: {reason}", UserWarning, "", 0)
    speech_s = sum(section.end_s - section.start_s for section in sections)
    files = len({section.path for section in sections})
    console.say(f"{out}: {len(sections)} sections in {files} recordings, {speech_s / 60:.1f} min of speech")
    if not any(section.speaker for section in sections):
        cure = (
            "--speaker-pattern, such as '^([^/]+)/' for one folder per speaker"
            if source.is_dir()
            else "the column speaker"
        )
        console.say(f"speakers are unknown, so every recording counts as a speaker of its own; name them by {cure}")
    silent = len({clip.path for clip in manifest}) - files - len(failures)
    if silent or failures:
        console.say(f"dropped: {silent} recordings without speech, {len(failures)} that cannot be read")


def read_speech(source: Path, split: str | None, speaker_pattern: str | None) -> "Manifest":
    """Read the recordings of a folder or manifest, without noise and rooms.

    Raises:
        InputError: no such folder or manifest, no recordings, or a pattern for a manifest.
    """
    from earmark.data.corpora.folder import SPEAKER_PATTERN, read_folder
    from earmark.data.manifest import read_manifest, select_split

    if not source.exists():
        raise InputError(f"{source}: no such folder or manifest; check the path")
    if source.is_dir():
        manifest = read_folder(source, speaker_pattern=speaker_pattern or SPEAKER_PATTERN)
    elif speaker_pattern is not None:
        raise InputError(
            "a manifest has a column speaker instead of a pattern; drop --speaker-pattern", key="speaker_pattern"
        )
    else:
        manifest = read_manifest(source)
    manifest = manifest if split is None else select_split(manifest, split, source)
    speech = tuple(clip for clip in manifest if clip.split not in {"noise", "rir"})
    if not speech:
        raise InputError(f"{source}: all clips are noise or rooms; name recordings of speech")
    return replace(manifest, clips=speech)
