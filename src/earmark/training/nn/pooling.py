"""From the frames of a scene to the embedding of a window: a masked sum, the same as the runtime's running sums."""

import torch
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.training.nn.encoders import FrameEncoder


def sum_windows(frames: Tensor, windows: Tensor, encoder: FrameEncoder) -> Tensor:
    """Sum the frame vectors that describe instants inside each window.

    Args:
        frames: shape (batch, t, d), from waves that stand alone.
        windows: first and last + 1 sample of each window, shape (batch, 2).
        encoder: which made the frames; it knows the instant of each.

    Returns:
        Shape (batch, d), not of unit length. Of several parts, each gives its share of the d columns.
    """
    context, parts = encoder.settings.context, encoder.settings.parts
    first_instant = (context // 2) * encoder.hop + encoder.reach // 2
    instant = first_instant + encoder.hop * torch.arange(frames.shape[1], device=frames.device)
    begin, end = windows.to(frames.dtype).unbind(1)
    # The nearest frame at least, even of the shortest word.
    end = torch.maximum(end, begin + encoder.hop)
    place = (instant - begin[:, None]) / (end - begin)[:, None] * parts
    part = torch.arange(parts, device=frames.device)[:, None, None]
    inside = ((place >= part) & (place < part + 1)).to(frames.dtype)
    columns = frames.unflatten(2, (parts, -1))
    return torch.einsum("pbt,btpc->bpc", inside, columns).flatten(1)


def pieces(spoken: Tensor, generator: torch.Generator, *, shortest_s: float = 0.3) -> Tensor:
    """Windows of random length and place inside spoken parts, as a detector's are between words; shape (batch, 2)."""
    begin, end = spoken.float().unbind(1)
    share = torch.rand(2, len(spoken), generator=generator).to(spoken.device)
    least = torch.minimum(end - begin, torch.tensor(shortest_s * SAMPLE_RATE, device=spoken.device))
    length = least + share[0] * (end - begin - least)
    first = begin + share[1] * (end - begin - length)
    return torch.stack([first, first + length], dim=1).round().long()


def jitter(spoken: Tensor, generator: torch.Generator, *, least_s: float = -0.04, most_s: float = 0.2) -> Tensor:
    """Windows around spoken parts whose ends are off by a random time, as a detector's are; shape (batch, 2)."""
    off = least_s + (most_s - least_s) * torch.rand(len(spoken), 2, generator=generator)
    off = (off * SAMPLE_RATE).to(spoken.device) * torch.tensor([-1.0, 1.0], device=spoken.device)
    return (spoken + off).round().long()
