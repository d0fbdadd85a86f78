"""The two networks that embed segments, behind one way to call them.

The published one sees a segment's frames and nothing else. The head of an encoder of streams sees a frame or two around
each of its frames, and its vectors are summed over the segment, so that what was learned can listen to streams.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.core.errors import InputError
from earmark.training.nn.encoders.segment import SegmentEncoder, SegmentSettings
from earmark.training.nn.encoders.stream import FrameEncoder, StreamSettings

Floats = NDArray[np.float32]
Network = SegmentEncoder | FrameEncoder


@dataclass(frozen=True)
class Cut:
    """A segment among the frames of what it lies in.

    Attributes:
        frames: of the section or recording, shape (t, width).
        first: the segment's first frame.
        stop: its last + 1.
    """

    frames: Floats
    first: int
    stop: int


def build_network(settings: SegmentSettings | StreamSettings, width: int) -> Network:
    """The network that a recipe describes.

    Args:
        settings: of the network.
        width: numbers in a frame.

    Raises:
        InputError: the network reads frames of another width.
    """
    if isinstance(settings, StreamSettings):
        return FrameEncoder(settings)
    if settings.features != width:
        raise InputError(f"encoder.features: {settings.features}, but a frame has {width} numbers; set it to {width}")
    return SegmentEncoder(settings)


def seen_around(settings: SegmentSettings | StreamSettings) -> int:
    """Frames that a network sees on each side of a segment."""
    return settings.context // 2 if isinstance(settings, StreamSettings) else 0


def embed_cuts(network: Network, cuts: Sequence[Cut], device: torch.device) -> Tensor:
    """Embeddings of segments, not of unit length, shape (n, dimension).

    Raises:
        InputError: a segment without a frame.
    """
    around = seen_around(network.settings)
    lengths = torch.tensor([cut.stop - cut.first if len(cut.frames) else 0 for cut in cuts])
    if int(lengths.min()) < 1:
        raise InputError("a segment is shorter than a frame; leave such segments out")
    longest = int(lengths.max())
    frames = np.zeros((len(cuts), longest + 2 * around, cuts[0].frames.shape[1]), np.float32)
    for row, cut in zip(frames, cuts, strict=True):
        # Beyond a section's ends its last frames stand on.
        wanted = np.arange(cut.first - around, cut.stop + around).clip(0, len(cut.frames) - 1)
        row[: len(wanted)] = cut.frames[wanted]
    heard, lengths = torch.from_numpy(frames).to(device), lengths.to(device)
    if isinstance(network, SegmentEncoder):
        embeddings: Tensor = network(heard, lengths)
        return embeddings
    return _summed(network.head(heard), lengths, network.settings.parts)


def project(network: Network, embeddings: Tensor) -> Tensor:
    """What the loss compares, in training and validation alike."""
    return network.project(embeddings) if isinstance(network, SegmentEncoder) else embeddings


def _summed(vectors: Tensor, lengths: Tensor, parts: int) -> Tensor:
    """Sums of the vectors inside each segment; of several parts, each gives its share of the columns.

    Parts of unequal length are rounded as `earmark.models.encoder.Encoder.embed_windows` rounds them.
    """
    place = torch.arange(vectors.shape[1], device=vectors.device)
    edges = (lengths * torch.arange(parts + 1, device=vectors.device)[:, None] / parts).round()[:, :, None]
    inside = ((place >= edges[:-1]) & (place < edges[1:])).to(vectors.dtype)
    return torch.einsum("pbt,btpc->bpc", inside, vectors.unflatten(2, (parts, -1))).flatten(1)
