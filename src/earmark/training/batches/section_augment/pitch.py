"""Pitch shifting: time stretching, then resampling by the same factor."""

import math
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from earmark.core.config import Settings
from earmark.training.batches.section_augment.bernoulli import Probability, bernoulli, uniform
from earmark.training.batches.time_stretch import stretch

_CROSSINGS = 16
"""Zero crossings of a resampling filter on each side."""
_PHASES = 512
"""Number of filter phases between two samples; the nearest phase is used, with an error of about -70 dB."""
_AT_ONCE = 1 << 19
"""Maximum number of products of samples and filter taps in memory."""


class PitchSettings(Settings):
    """Settings of the random pitch shift of a wave."""

    probability: Probability = 0.0
    cents: float = Field(
        300.0, gt=0, le=1200, description="maximum shift in either direction, in cents; formants shift too"
    )


def shift_pitch(
    waves: Tensor, lengths: Tensor, settings: PitchSettings, generators: Sequence[torch.Generator]
) -> Tensor:
    """Shift the pitch of each wave with the probability of the settings.

    Args:
        waves: shape (batch, n); changed in place, so that rows without a shift cost nothing.
        lengths: samples of each row, shape (batch,).
        settings: pitch settings.
        generators: source of randomness of each row, on the CPU.

    Returns:
        ``waves``. Up to 300 cents, positions change by at most 10 ms.
    """
    chosen = [bernoulli(settings.probability, own) for own in generators]
    rows = [row for row, length in enumerate(lengths.tolist()) if chosen[row] and length]
    if not rows:
        return waves
    cents = [uniform(-settings.cents, settings.cents, generators[row]) for row in rows]
    index = torch.tensor(rows)
    mine = lengths.cpu()[index]
    size = int(mine.max())
    shifted = at_pitch(waves[index.to(waves.device), :size], mine, torch.tensor(cents))
    for row, wave, length in zip(rows, shifted, mine.tolist(), strict=True):
        waves[row, :length] = wave[:length]
    return waves


def at_pitch(waves: Tensor, lengths: Tensor, cents: Tensor) -> Tensor:
    """Shift the pitch of each wave by a number of cents, without a change of its duration.

    Args:
        waves: shape (batch, n).
        lengths: samples of each wave, shape (batch,); samples after them become zero.
        cents: shape (batch,); positive numbers raise the pitch.
    """
    steps = 2 ** (cents.cpu().double() / 1200)
    # Stretched first: in the other order, the segment shifts of up to 8 ms would scale with the resampled wave.
    return resample(stretch(waves, 1 / steps, lengths).waves, steps, waves.shape[1])


def resample(waves: Tensor, steps: Tensor, size: int) -> Tensor:
    """Resample waves by a factor each, with band-limited interpolation.

    Args:
        waves: shape (batch, m).
        steps: input samples per output sample, shape (batch,), float64, on the CPU.
        size: number of output samples; the first output sample is at the first input sample.

    Returns:
        Shape (batch, size).
    """
    device = waves.device
    half = math.ceil(_CROSSINGS * max(1.0, float(steps.max())))
    positions = torch.arange(size) * steps[:, None]
    first = positions.floor().long()
    phases = ((positions - first) * _PHASES).round().long().to(device)
    filters = _filters(steps, half).to(device)
    # Padding for the last filter.
    after = max(0, int(first.max()) + 2 * half - waves.shape[1] + 1) if size else 0
    pieces = torch.nn.functional.pad(waves, (half - 1, after)).unfold(1, 2 * half, 1)
    rows = torch.arange(len(waves), device=device)[:, None]
    at_once = max(1, _AT_ONCE // (2 * half * len(waves)))
    parts = [
        (pieces[rows, where] * filters[rows, phase]).sum(2)
        for where, phase in zip(first.to(device).split(at_once, 1), phases.split(at_once, 1), strict=True)
    ]
    return torch.cat(parts, 1)


def _filters(steps: Tensor, half: int) -> Tensor:
    """Compute low-pass filters for resampling, Hann-windowed sinc functions, shape (batch, phases + 1, 2 · half).

    Args:
        steps: input samples per output sample, shape (batch,).
        half: half the number of taps of a filter.
    """
    taps = torch.arange(1 - half, half + 1)
    # The cutoff prevents aliasing.
    time = (taps - torch.arange(_PHASES + 1)[:, None] / _PHASES) * (1 / steps).clamp(max=1)[:, None, None]
    window = (math.pi / 2 * (time / _CROSSINGS).clamp(-1, 1)).cos().square()
    filters = torch.sinc(time) * window
    return (filters / filters.sum(2, keepdim=True)).float()
