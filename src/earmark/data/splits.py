"""Share clips out to train, val and test so that nobody is heard in two of them."""

from dataclasses import replace
from hashlib import blake2b

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest


def assign_splits(manifest: Manifest, *, val: float = 0.1, test: float = 0.1, seed: int = 0) -> Manifest:
    """Give every clip without a split one of train, val, test.

    A speaker's split follows from the speaker's name and the seed alone: it stays when clips or speakers are added,
    and differs from the fractions by chance. Clips without a speaker are drawn by their file.

    Args:
        manifest: clips that already have a split keep it.
        val: fraction of the speakers in val.
        test: fraction of the speakers in test.
        seed: of the draw.

    Raises:
        InputError: fractions that are negative or leave nothing for train.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise InputError(f"val {val:g} and test {test:g}: fractions from 0 on whose sum is below 1")

    def split(clip: Clip) -> str:
        position = _position(f"speaker {clip.speaker}" if clip.speaker else f"file {clip.path}", seed)
        return "test" if position < test else "val" if position < test + val else "train"

    return replace(
        manifest, clips=tuple(clip if clip.split else replace(clip, split=split(clip)) for clip in manifest.clips)
    )


def _position(name: str, seed: int) -> float:
    """A place in [0, 1) that a name and a seed always get."""
    digest = blake2b(f"{seed}\n{name}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
