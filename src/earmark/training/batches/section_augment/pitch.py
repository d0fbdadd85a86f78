"""A voice of another pitch in the same time: stretched, and played as much faster or slower."""

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
"""Places between two samples at which a filter is computed; the nearest is taken, an error of some -70 dB."""
_AT_ONCE = 1 << 19
"""Products of samples and filters that are in memory at a time."""


class PitchSettings(Settings):
    """How often and how far."""

    probability: Probability = 0.0
    cents: float = Field(
        300.0, gt=0, le=1200, description="greatest shift up or down, in hundredths of a semitone; formants move along"
    )


def shift_pitch(
    waves: Tensor, lengths: Tensor, settings: PitchSettings, generators: Sequence[torch.Generator]
) -> Tensor:
    """Raise or lower the pitch of some waves.

    Args:
        waves: shape (batch, n); they are changed in place, so that rows to which nothing happens cost nothing.
        lengths: samples of each row, shape (batch,).
        settings: how often and how far.
        generators: source of randomness of each row, on the CPU.

    Returns:
        ``waves``. A sound stays within 10 ms of where it was, up to 300 cents.
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
    """Shift the pitch of waves of shape (batch, n) by cents of shape (batch,); after a row's length is silence."""
    steps = 2 ** (cents.cpu().double() / 1200)
    # Stretched first: the other way round a piece would move by 8 ms of the faster or slower wave.
    return resample(stretch(waves, 1 / steps, lengths).waves, steps, waves.shape[1])


def resample(waves: Tensor, steps: Tensor, size: int) -> Tensor:
    """Waves heard at other places than at their samples, and band-limited for it.

    Args:
        waves: shape (batch, m).
        steps: samples of the waves from one place to the next, shape (batch,), float64, on the CPU.
        size: how many places; the first is the first sample.

    Returns:
        Shape (batch, size).
    """
    device = waves.device
    half = math.ceil(_CROSSINGS * max(1.0, float(steps.max())))
    places = torch.arange(size) * steps[:, None]
    first = places.floor().long()
    phases = ((places - first) * _PHASES).round().long().to(device)
    filters = _filters(steps, half).to(device)
    # Silence enough that the last filter ends in the wave.
    after = max(0, int(first.max()) + 2 * half - waves.shape[1] + 1) if size else 0
    pieces = torch.nn.functional.pad(waves, (half - 1, after)).unfold(1, 2 * half, 1)
    rows = torch.arange(len(waves), device=device)[:, None]
    at_once = max(1, _AT_ONCE // (2 * half * len(waves)))
    heard = [
        (pieces[rows, where] * filters[rows, phase]).sum(2)
        for where, phase in zip(first.to(device).split(at_once, 1), phases.split(at_once, 1), strict=True)
    ]
    return torch.cat(heard, 1)


def _filters(steps: Tensor, half: int) -> Tensor:
    """Sinc under Hann's window for each phase, shape (batch, phases + 1, 2 · half)."""
    taps = torch.arange(1 - half, half + 1)
    # What would come to lie above the highest frequency is left out.
    time = (taps - torch.arange(_PHASES + 1)[:, None] / _PHASES) * (1 / steps).clamp(max=1)[:, None, None]
    window = (math.pi / 2 * (time / _CROSSINGS).clamp(-1, 1)).cos().square()
    filters = torch.sinc(time) * window
    return (filters / filters.sum(2, keepdim=True)).float()
