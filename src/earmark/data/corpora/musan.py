"""MUSAN, a corpus of noise for augmentation: `musan/{music,noise,speech}/SOURCE/FILE.wav`.

D. Snyder, G. Chen and D. Povey, “MUSAN: A Music, Speech, and Noise Corpus”, arXiv:1510.08484.
"""

from dataclasses import replace
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.corpora.folder import read_folder
from earmark.data.manifest import Manifest

KINDS = ("music", "noise", "speech")


def read_musan(folder: str | Path) -> Manifest:
    """Make a manifest of MUSAN with the labels music, noise and speech, the split noise, and no speakers.

    Args:
        folder: `musan` or its parent folder; one or two of the three kinds may be missing.

    Raises:
        InputError: the folder is missing, or has none of the kinds or no recordings.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    home = next((place for place in (folder, folder / "musan") if any((place / kind).is_dir() for kind in KINDS)), None)
    if home is None:
        raise InputError(f"{folder}: not MUSAN; choose the folder that contains the folders {', '.join(KINDS)}")
    clips = tuple(replace(clip, speaker="", split="noise") for clip in read_folder(home) if clip.label in KINDS)
    if not clips:
        raise InputError(
            f"{home}: no recordings under {', '.join(KINDS)}; expected noise/free-sound/FILE.wav and so on"
        )
    return Manifest(clips, home)
