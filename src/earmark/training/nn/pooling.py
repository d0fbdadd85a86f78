"""Pooling in training: draws windows of time, and sums the frame vectors in each window."""

import torch
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.training.nn.encoders import FrameEncoder


def sum_windows(frames: Tensor, windows: Tensor, encoder: FrameEncoder) -> Tensor:
    """Sum, for each wave of a batch, the frame vectors whose centers are inside the wave's window.

    Args:
        frames: shape (batch, t, d), of whole waves.
        windows: first and last + 1 sample of each window, shape (batch, 2).
        encoder: the encoder of the frames; its hop and reach determine the centers of the frames.

    Returns:
        Shape (batch, d), not of unit length. Each of the encoder's ``parts`` of a window fills d / parts columns.
    """
    context, parts = encoder.settings.context, encoder.settings.parts
    first_center = (context // 2) * encoder.hop + encoder.reach // 2
    center = first_center + encoder.hop * torch.arange(frames.shape[1], device=frames.device)
    begin, end = windows.to(frames.dtype).unbind(1)
    # At least one frame, even for the shortest word.
    end = torch.maximum(end, begin + encoder.hop)
    position = (center - begin[:, None]) / (end - begin)[:, None] * parts
    part = torch.arange(parts, device=frames.device)[:, None, None]
    inside = ((position >= part) & (position < part + 1)).to(frames.dtype)
    columns = frames.unflatten(2, (parts, -1))
    return torch.einsum("pbt,btpc->bpc", inside, columns).flatten(1)


def random_windows(spoken: Tensor, generator: torch.Generator, *, shortest_s: float = 0.3) -> Tensor:
    """Draw windows of random length and position inside spoken parts.

    The windows are negatives: in a stream, a detector also scores windows that do not match a word.

    Args:
        spoken: first and last + 1 sample of each spoken part, shape (batch, 2).
        generator: source of randomness, on the CPU.
        shortest_s: minimum length of a window, in seconds; a shorter spoken part is the window itself.

    Returns:
        First and last + 1 sample of each window, int64, shape (batch, 2).
    """
    begin, end = spoken.float().unbind(1)
    share = torch.rand(2, len(spoken), generator=generator).to(spoken.device)
    shortest = torch.minimum(end - begin, torch.tensor(shortest_s * SAMPLE_RATE, device=spoken.device))
    length = shortest + share[0] * (end - begin - shortest)
    first = begin + share[1] * (end - begin - length)
    return torch.stack([first, first + length], dim=1).round().long()


def jittered_windows(
    spoken: Tensor, generator: torch.Generator, *, least_s: float = -0.04, most_s: float = 0.2
) -> Tensor:
    """Draw windows around spoken parts, with random errors at both ends.

    Args:
        spoken: first and last + 1 sample of each spoken part, shape (batch, 2).
        generator: source of randomness, on the CPU.
        least_s: minimum distance of a window's end from the spoken part, in seconds; negative inside the part.
        most_s: maximum distance, in seconds.

    Returns:
        First and last + 1 sample of each window, int64, shape (batch, 2).
    """
    off = least_s + (most_s - least_s) * torch.rand(len(spoken), 2, generator=generator)
    off = (off * SAMPLE_RATE).to(spoken.device) * torch.tensor([-1.0, 1.0], device=spoken.device)
    return (spoken + off).round().long()
