"""Recordings that augmentation mixes into clips, and the responses of rooms."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AugmentationAudio:
    """Recordings for augmentation, each a wave in [-1, 1] of shape (n,).

    Attributes:
        noise: background noise.
        music: music.
        speech: speech of other speakers.
        rooms: room impulse responses.
    """

    noise: Sequence[Tensor] = ()
    music: Sequence[Tensor] = ()
    speech: Sequence[Tensor] = ()
    rooms: Sequence[Tensor] = ()
