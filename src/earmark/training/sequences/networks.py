"""Functions that embed segments by either of two kinds of networks: a segment encoder, or a stream encoder's head.

The published network embeds the frames of a segment. The head of a stream encoder computes a vector from each frame and
one or two frames around it, and the vectors are summed over the segment; a trained head therefore runs on streams.
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
    """A segment, as a range of the frames of its section or recording.

    Attributes:
        frames: frames of the section or recording that contains the segment, shape (t, width).
        first: number of the segment's first frame.
        stop: number of the frame after its last frame.
    """

    frames: Floats
    first: int
    stop: int


def build_network(settings: SegmentSettings | StreamSettings, width: int) -> Network:
    """Build the network that embeds the segments of a recipe.

    Args:
        settings: settings of the network.
        width: number of features in a frame.

    Raises:
        InputError: the network needs frames of another width.
    """
    if isinstance(settings, StreamSettings):
        return FrameEncoder(settings)
    if settings.features != width:
        raise InputError(
            f"encoder.features: {settings.features} is not the width of the frames, {width}; set it to {width}"
        )
    return SegmentEncoder(settings)


def context_frames(settings: SegmentSettings | StreamSettings) -> int:
    """Return how many frames on each side of a segment its embedding depends on."""
    return settings.context // 2 if isinstance(settings, StreamSettings) else 0


def embed_cuts(network: Network, cuts: Sequence[Cut], device: torch.device) -> Tensor:
    """Compute embeddings of segments, shape (n, dimension), not of unit length.

    Raises:
        InputError: a segment has no frame.
    """
    around = context_frames(network.settings)
    lengths = torch.tensor([cut.stop - cut.first if len(cut.frames) else 0 for cut in cuts])
    if int(lengths.min()) < 1:
        raise InputError("a segment is shorter than the distance between frames; leave out such segments")
    longest = int(lengths.max())
    frames = np.zeros((len(cuts), longest + 2 * around, cuts[0].frames.shape[1]), np.float32)
    for row, cut in zip(frames, cuts, strict=True):
        # Before and after a section, its first and last frames are repeated.
        wanted = np.arange(cut.first - around, cut.stop + around).clip(0, len(cut.frames) - 1)
        row[: len(wanted)] = cut.frames[wanted]
    batch, lengths = torch.from_numpy(frames).to(device), lengths.to(device)
    if isinstance(network, SegmentEncoder):
        embeddings: Tensor = network(batch, lengths)
        return embeddings
    return _sum_parts(network.head(batch), lengths, network.settings.parts)


def project(network: Network, embeddings: Tensor) -> Tensor:
    """Apply the projection of a segment encoder, as the loss needs it; vectors of a stream encoder are unchanged."""
    return network.project(embeddings) if isinstance(network, SegmentEncoder) else embeddings


def _sum_parts(vectors: Tensor, lengths: Tensor, parts: int) -> Tensor:
    """Sum the vectors of each segment over time.

    With several parts, a segment is divided into equal times, and each part sums its own columns of the vectors. The
    times between parts are rounded as in `earmark.models.encoder.Encoder.embed_windows`.
    """
    place = torch.arange(vectors.shape[1], device=vectors.device)
    edges = (lengths * torch.arange(parts + 1, device=vectors.device)[:, None] / parts).round()[:, :, None]
    inside = ((place >= edges[:-1]) & (place < edges[1:])).to(vectors.dtype)
    return torch.einsum("pbt,btpc->bpc", inside, vectors.unflatten(2, (parts, -1))).flatten(1)
