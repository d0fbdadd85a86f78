"""Audio for augmentation: recordings that are mixed into clips, and room impulse responses."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AugmentationAudio:
    """Recordings that augmentation uses, in four lists; each recording is a wave in [-1, 1] of shape (n,).

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
