"""LibriSpeech in its published layout: `train-clean-100/SPEAKER/CHAPTER/SPEAKER-CHAPTER-0000.flac`, with transcripts.

V. Panayotov et al., “LibriSpeech: An ASR corpus based on public domain audio books”, ICASSP 2015. CC BY 4.0.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.corpora.folder import SOUND_SUFFIXES
from earmark.data.lists.list_format import read_lines
from earmark.data.manifest import Clip, Manifest

SPLITS = {"train": "train", "dev": "val", "test": "test"}
"""Split by the first part of the name of a subset, such as train-clean-100, dev-other or test-clean."""


def read_librispeech(folder: str | Path) -> Manifest:
    """Make a manifest of LibriSpeech with speakers, transcripts in `text`, and splits by the names of the subsets.

    Args:
        folder: `LibriSpeech`, its parent folder, or one subset such as `train-clean-100`.

    Returns:
        Clips without a label, in the order of their paths.

    Raises:
        InputError: the folder is missing or has no subset, or an utterance has no transcript.

    Warns:
        UserWarning: a transcript has no recording.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    home, subsets = _subsets(folder)
    clips = tuple(
        clip
        for subset in subsets
        for chapter in sorted(filter(Path.is_dir, subset.glob("*/*")))
        for clip in _chapter(chapter, home, SPLITS[_kind(subset)])
    )
    if not clips:
        raise InputError(
            f"{subsets[0]}: the folder has no recordings; expected SPEAKER/CHAPTER/SPEAKER-CHAPTER-0000.flac"
        )
    return Manifest(clips, home)


def _subsets(folder: Path) -> tuple[Path, list[Path]]:
    """Return the folder of LibriSpeech, and the folders of its subsets; for a subset alone, both are `folder`."""
    if _kind(folder) in SPLITS:
        return folder, [folder]
    for home in (folder, folder / "LibriSpeech"):
        subsets = sorted(place for place in home.glob("*-*") if place.is_dir() and _kind(place) in SPLITS)
        if subsets:
            return home, subsets
    raise InputError(
        f"{folder}: not LibriSpeech; choose the folder that contains folders such as train-clean-100 or dev-clean"
    )


def _kind(folder: Path) -> str:
    """First part of the name of a folder: `train` for train-clean-100; empty for a name without dash."""
    first, dash, _ = folder.absolute().name.partition("-")
    return first if dash else ""


def _chapter(chapter: Path, home: Path, split: str) -> Iterator[Clip]:
    speaker = chapter.parent.name
    files = {file.stem: file for file in chapter.iterdir() if file.suffix.lower() in SOUND_SUFFIXES}
    transcripts = chapter / f"{speaker}-{chapter.name}.trans.txt"
    if not transcripts.is_file():
        if files:
            raise InputError(
                f"{transcripts}: the transcripts are missing beside the recordings; unpack the corpus again"
            )
        return
    texts = _texts(transcripts)
    for name in sorted(files):
        if name not in texts:
            raise InputError(f"{transcripts}: no line for {files[name].name}; unpack the corpus again")
        yield Clip(files[name].relative_to(home).as_posix(), speaker=speaker, split=split, text=texts[name])
    absent = sorted(texts.keys() - files.keys())
    if absent:
        warnings.warn(
            f"{transcripts}: dropped {len(absent)} lines without a recording, the first for {absent[0]}; unpack the"
            " corpus again if it should be complete",
            stacklevel=3,
        )


def _texts(transcripts: Path) -> dict[str, str]:
    """Read a file of transcripts; return the transcripts by name of the utterance."""
    texts = {}
    for number, line in read_lines(transcripts):
        name, _, text = line.partition(" ")
        if not text.strip():
            raise InputError(f"{transcripts}:{number}: expected 'UTTERANCE TEXT', got {line!r}")
        texts[name] = text.strip()
    return texts
