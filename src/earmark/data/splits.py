"""Split clips into train, val and test, so that no speaker is in two of them."""

from dataclasses import replace
from hashlib import blake2b

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest


def assign_splits(manifest: Manifest, *, val: float = 0.1, test: float = 0.1, seed: int = 0) -> Manifest:
    """Assign train, val or test to each clip without a split.

    The split of a speaker depends only on name and seed, so that other clips and speakers do not change it. The
    fractions are met approximately. Clips without a speaker are split by file.

    Args:
        manifest: clips; a clip that has a split keeps it.
        val: fraction of the speakers in val.
        test: fraction of the speakers in test.
        seed: seed of the draw.

    Raises:
        InputError: a fraction is negative, or nothing is left for train.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise InputError(
            f"the fractions val {val:g} and test {test:g} must be 0 or more, and their sum below 1; change them",
            key="val",
        )

    def split(clip: Clip) -> str:
        position = _position(f"speaker {clip.speaker}" if clip.speaker else f"file {clip.path}", seed)
        return "test" if position < test else "val" if position < test + val else "train"

    return replace(
        manifest, clips=tuple(clip if clip.split else replace(clip, split=split(clip)) for clip in manifest.clips)
    )


def _position(name: str, seed: int) -> float:
    """Hash a name and a seed to a number in [0, 1); the numbers of many names are evenly distributed."""
    digest = blake2b(f"{seed}\n{name}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
