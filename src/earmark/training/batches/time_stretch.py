"""Time stretching: another tempo at the same pitch, in batches.

Waveform-similarity overlap-add (WSOLA, Verhelst and Roelands 1993): the output is a sequence of segments of the source,
each taken where it best continues the previous one. Sox, with which Algayres et al. (2022) made their variants, does
the same. A phase vocoder has an equally exact tempo, but smears onsets over a window and makes voices hollow, because
the pulses of a voice lose their common phase; WSOLA copies them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from earmark.core.errors import InputError

_SEGMENT = 512
"""Samples of a segment, 32 ms: two pulses of a low voice."""
_FADE = 224
"""Samples of the cross-fade between segments, 14 ms."""
_HOP = _SEGMENT - _FADE
_SHIFT = 128
"""Maximum shift of a segment in either direction, 8 ms: both directions span one pulse of the lowest voices, 62 Hz."""
_POINTS = 512
"""Points of the Fourier transform that correlates a cross-fade with all shifts: `_FADE` + 2 · `_SHIFT` or more."""
_PENALTY = 1e-3
"""Penalty of the maximum shift, relative to the energy of a cross-fade; it prevents shifts in silence and hiss."""


@dataclass(frozen=True)
class Stretched:
    """Stretched waves and the source positions of their segments.

    Attributes:
        waves: shape (batch, n), zero beyond the length of a row.
        lengths: samples of each row, shape (batch,).
        places: first source sample of each segment, shape (batch, segments); segment k starts at output sample
            k · (segment - cross-fade). Positions before the source are negative.
    """

    waves: Tensor
    lengths: Tensor
    places: Tensor

    def output_positions(self, samples: Tensor) -> Tensor:
        """Find the positions that samples of the source have in the stretched waves.

        A sample that occurs twice is mapped to the occurrence nearest to the center of a segment. A sample that was
        skipped is mapped to the cross-fade where it is missing.

        Args:
            samples: shape (batch, m), of any number type.

        Returns:
            Output samples, shape (batch, m), int64, at most the length of the row.
        """
        samples = samples.round().long()
        centers = self.places + _SEGMENT // 2
        # Segments of slow speech may be out of order in the source; the nearest is among a few neighbors.
        nearest = torch.searchsorted(centers.cummax(dim=1).values, samples.contiguous())
        near = (nearest[:, :, None] + torch.arange(-3, 4, device=samples.device)).clamp(0, centers.shape[1] - 1)
        offsets = samples[:, :, None] - centers.gather(1, near.flatten(1)).view_as(near)
        best = offsets.abs().argmin(dim=2, keepdim=True)
        segment, offset = near.gather(2, best)[:, :, 0], offsets.gather(2, best)[:, :, 0]
        # The first and the last segment have one cross-fade only.
        before = torch.where(segment == 0, -_SEGMENT // 2, -_HOP // 2)
        after = torch.where(segment == centers.shape[1] - 1, _SEGMENT // 2, _HOP // 2)
        position = segment * _HOP + _SEGMENT // 2 + offset.maximum(before).minimum(after)
        return position.clamp(min=0).minimum(self.lengths[:, None])


@torch.no_grad()
def stretch(waves: Tensor, tempo: Tensor, lengths: Tensor | None = None) -> Stretched:
    """Change the tempo of waves and keep their pitch.

    The result of a row does not depend on the other rows, nor on samples beyond its length.

    Args:
        waves: shape (batch, n), n > 0, 16 kHz, on any device.
        tempo: factor on the speed, shape (batch,); 1 does not change a row.
        lengths: samples of each row, shape (batch,); by default n.

    Returns:
        Rows of round(length / tempo) samples, on the device of the waves.

    Raises:
        InputError: a tempo is not above 0.

    >>> stretch(torch.zeros(2, 16000), torch.tensor([0.5, 1.6])).lengths.tolist()
    [32000, 10000]
    """
    # Lengths and positions in float64 on the CPU, for exact rounding.
    tempo = tempo.cpu().double()
    if not bool(((tempo > 0) & tempo.isfinite()).all()):
        raise InputError(
            f"tempo: {tempo.min().item():g} is not above 0; choose factors on the speed such as 0.5 to 1.8"
        )
    batch, size = waves.shape
    lengths = torch.full((batch,), size) if lengths is None else lengths.cpu()
    results = (lengths / tempo).round().long()
    longest = int(results.max()) if batch else 0
    segments = max(1, -(-(longest - _FADE) // _HOP))
    # Segment centers follow the exact tempo, so that both ends of a segment deviate from it equally.
    wanted = ((torch.arange(segments) * _HOP + _SEGMENT / 2) * tempo[:, None] - _SEGMENT / 2).round().long()
    waves = _cut(waves.float(), lengths.to(waves.device))
    places = _places(waves, wanted.clamp(max=size))
    results = results.to(waves.device)
    return Stretched(_cut(_lay(waves, places)[:, :longest], results), results, places)


def _cut(waves: Tensor, lengths: Tensor) -> Tensor:
    return waves * (torch.arange(waves.shape[1], device=waves.device) < lengths[:, None])


def _places(waves: Tensor, wanted: Tensor) -> Tensor:
    """Choose the source position of each segment, so that it continues the previous segment best.

    Args:
        waves: shape (batch, n).
        wanted: positions that follow the tempo exactly, shape (batch, segments).

    Returns:
        First sample of each segment, at most `_SHIFT` from the wanted one, shape (batch, segments).
    """
    device = waves.device
    # Padding on both sides, so that the ends need no special case.
    before = _SEGMENT + _SHIFT
    audio = torch.nn.functional.pad(waves, (before, 2 * _SEGMENT + 2 * _SHIFT))
    first = wanted.to(device) + before - _SHIFT
    rows = torch.arange(len(waves), device=device)
    # The terms of the costs that do not depend on the previous segment are computed for all segments at once.
    regions = audio.unfold(1, _POINTS, 1)[rows[:, None], first]
    spectra = torch.fft.rfft(regions)
    power = torch.nn.functional.pad(regions.square().cumsum(2), (1, 0))
    energies = power[..., _FADE : _FADE + 2 * _SHIFT + 1] - power[..., : 2 * _SHIFT + 1]
    shifts = torch.arange(-_SHIFT, _SHIFT + 1, device=device) / _SHIFT
    costs = energies + (energies.mean(2, keepdim=True) + 1e-9) * _PENALTY * shifts.square()
    seams = audio.unfold(1, _FADE, 1)
    places = [first[:, 0] + _SHIFT]
    for start, spectrum, cost in zip(first.unbind(1)[1:], spectra.unbind(1)[1:], costs.unbind(1)[1:], strict=True):
        ahead = torch.fft.rfft(seams[rows, places[-1] + _HOP], n=_POINTS)
        correlation = torch.fft.irfft(spectrum * ahead.conj(), n=_POINTS)[:, : 2 * _SHIFT + 1]
        # |a - b|² of both sides of a cross-fade, without the constant |a|².
        places.append(start + cost.sub(correlation, alpha=2).argmin(1))
    return torch.stack(places, dim=1) - before


def _lay(waves: Tensor, places: Tensor) -> Tensor:
    """Copy the segments at `places` from waves, and join them with cross-fades.

    Returns:
        Shape (batch, segments · hop + fade).
    """
    index = places[:, :, None] + torch.arange(_SEGMENT, device=waves.device)
    is_inside = (index >= 0) & (index < waves.shape[1])
    audio = waves.gather(1, index.clamp(0, waves.shape[1] - 1).flatten(1)).view_as(index) * is_inside
    # The weights of a cross-fade sum to 1, because its two sides are correlated.
    rise = (torch.pi / 2 * (torch.arange(_FADE, device=waves.device) + 0.5) / _FADE).sin().square()
    audio[:, 1:, :_FADE] = audio[:, 1:, :_FADE] * rise + audio[:, :-1, _HOP:] * (1 - rise)
    return torch.cat([audio[:, :, :_HOP].flatten(1), audio[:, -1, _HOP:]], dim=1)
