"""`earmark prepare vad`: where somebody speaks in recordings."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console
from earmark.cli.settings import options_from
from earmark.core.errors import EarmarkError, InputError

if TYPE_CHECKING:
    from earmark.data.manifest import Manifest
    from earmark.data.vad import VadSettings

EXAMPLE = "Example: [bold]earmark prepare vad recordings --out data/sections.txt[/bold]"


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
    split: Annotated[str | None, typer.Option(help="Only clips of this split; all if not given.")] = None,
    speaker_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Searched in the paths below FOLDER; its first group is the speaker. SPEAKER_nohash_NUMBER if not "
            "given.",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core if not given.")] = None,
) -> None:
    """Find the sections of recordings in which somebody speaks, by silero's voice activity detector.

    Paths in the list start from FOLDER, or from the folder of MANIFEST. Beside the list stands a .jsonl that keeps
    what is done: started again, the command goes on where it stopped. Recordings that cannot be read are left out
    and told. Clips of noise and of rooms are not asked.
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
            manifest,
            out.with_suffix(".jsonl"),
            settings,
            workers=workers or os.cpu_count() or 1,
            on_file=partial(progress, "listening"),
        )
    if not sections:
        reason = next(iter(failures.values()), "nobody speaks in them; try a lower --threshold")
        raise EarmarkError(f"{source}: no section in {len(manifest)} clips: {reason}")
    write_sections(sections, out, folder=manifest.folder)
    for reason in failures.values():
        console.show_warning(f"left out: {reason}", UserWarning, "", 0)
    speech_s = sum(section.end_s - section.start_s for section in sections)
    files = len({section.path for section in sections})
    console.say(f"{out}: {len(sections)} sections in {files} recordings, {speech_s / 60:.1f} min of speech")
    if not any(section.speaker for section in sections):
        cure = "--speaker-pattern, such as '^([^/]+)/' for a folder each" if source.is_dir() else "its column speaker"
        console.say(f"who speaks is not known: every recording will count as a voice of its own; say it by {cure}")
    quiet = len({clip.path for clip in manifest}) - files - len(failures)
    if quiet or failures:
        console.say(f"left out: {quiet} recordings without speech, {len(failures)} that cannot be read")


def read_speech(source: Path, split: str | None, speaker_pattern: str | None) -> "Manifest":
    """The recordings of a folder or manifest, without noise and rooms.

    Raises:
        InputError: no such folder or manifest, nothing in it, or a pattern for a manifest.
    """
    from dataclasses import replace

    from earmark.data.corpora.folder import SPEAKER_PATTERN, read_folder
    from earmark.data.manifest import read_manifest, select_split

    if not source.exists():
        raise InputError(f"{source}: no such folder or manifest")
    if source.is_dir():
        manifest = read_folder(source, speaker_pattern=speaker_pattern or SPEAKER_PATTERN)
    elif speaker_pattern is not None:
        raise InputError("--speaker-pattern: for a folder; a manifest says who speaks")
    else:
        manifest = read_manifest(source)
    manifest = manifest if split is None else select_split(manifest, split, source)
    kept = tuple(clip for clip in manifest if clip.split not in {"noise", "rir"})
    if not kept:
        raise InputError(f"{source}: all clips are noise or rooms; name recordings of speech")
    return replace(manifest, clips=kept)


def given(**values: Any) -> dict[str, Any]:
    """The options that somebody gave; the others have the defaults of the settings."""
    return {name: value for name, value in values.items() if value is not None}


def check_out(out: Path, *sources: Path | None) -> None:
    """Whether a list may be written there: not over what it is made from, nor over the journal beside it.

    Raises:
        InputError: it may not.
    """
    if out.suffix == ".jsonl":
        raise InputError(
            f"--out {out}: a .jsonl beside the list keeps what is done; name the list .txt, .tsv, .parquet"
        )
    for source in sources:
        if source is not None and out.resolve() == source.resolve():
            raise InputError(f"--out {out}: would take the place of what it is made from; name another file")
