"""The two networks that embed segments, behind one interface.

The published network depends on the frames of a segment only. The head of a stream encoder depends on one or two frames
around each frame, and its vectors are summed over the segment, so that a trained head runs on streams.
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
    """A segment, with the frames around it.

    Attributes:
        frames: of its section or recording, shape (t, width).
        first: number of its first frame.
        stop: number of its last frame + 1.
    """

    frames: Floats
    first: int
    stop: int


def build_network(settings: SegmentSettings | StreamSettings, width: int) -> Network:
    """Build the network of a recipe.

    Args:
        settings: of the network.
        width: length of a frame.

    Raises:
        InputError: the network needs frames of another length.
    """
    if isinstance(settings, StreamSettings):
        return FrameEncoder(settings)
    if settings.features != width:
        raise InputError(f"encoder.features: {settings.features}, but a frame has {width} numbers; set it to {width}")
    return SegmentEncoder(settings)


def context_frames(settings: SegmentSettings | StreamSettings) -> int:
    """Number of frames before and after a segment that its embedding depends on."""
    return settings.context // 2 if isinstance(settings, StreamSettings) else 0


def embed_cuts(network: Network, cuts: Sequence[Cut], device: torch.device) -> Tensor:
    """Embeddings of segments, not of unit length, shape (n, dimension).

    Raises:
        InputError: a segment without a frame.
    """
    around = context_frames(network.settings)
    lengths = torch.tensor([cut.stop - cut.first if len(cut.frames) else 0 for cut in cuts])
    if int(lengths.min()) < 1:
        raise InputError("a segment is shorter than a frame; leave such segments out")
    longest = int(lengths.max())
    frames = np.zeros((len(cuts), longest + 2 * around, cuts[0].frames.shape[1]), np.float32)
    for row, cut in zip(frames, cuts, strict=True):
        # Beyond the ends of a section, its first and last frames are repeated.
        wanted = np.arange(cut.first - around, cut.stop + around).clip(0, len(cut.frames) - 1)
        row[: len(wanted)] = cut.frames[wanted]
    batch, lengths = torch.from_numpy(frames).to(device), lengths.to(device)
    if isinstance(network, SegmentEncoder):
        embeddings: Tensor = network(batch, lengths)
        return embeddings
    return _sum_parts(network.head(batch), lengths, network.settings.parts)


def project(network: Network, embeddings: Tensor) -> Tensor:
    """Embeddings as the loss compares them, in training and validation."""
    return network.project(embeddings) if isinstance(network, SegmentEncoder) else embeddings


def _sum_parts(vectors: Tensor, lengths: Tensor, parts: int) -> Tensor:
    """Sum the vectors of each segment; of several parts, each gives its share of the columns.

    The edges of parts are rounded as in `earmark.models.encoder.Encoder.embed_windows`.
    """
    place = torch.arange(vectors.shape[1], device=vectors.device)
    edges = (lengths * torch.arange(parts + 1, device=vectors.device)[:, None] / parts).round()[:, :, None]
    inside = ((place >= edges[:-1]) & (place < edges[1:])).to(vectors.dtype)
    return torch.einsum("pbt,btpc->bpc", inside, vectors.unflatten(2, (parts, -1))).flatten(1)
