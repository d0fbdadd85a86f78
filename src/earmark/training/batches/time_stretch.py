"""Faster and slower speech of the same pitch, a batch at a time.

Waveform-similarity overlap-add (Verhelst and Roelands 1993): the result is laid from stretches of the source, each
taken where it continues best what was laid before. Sox, with which Algayres et al. (2022) made their variants, does
the same. The other choice was a phase vocoder: its tempo is as exact, but it smears an onset over a window of its
spectrum and makes voices hollow, as the pulses of a voice lose their common phase; here they are copied whole.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from earmark.core.errors import InputError

_PIECE = 512
"""Samples of a piece, 32 ms: two pulses of a deep voice."""
_SEAM = 224
"""Samples in which a piece fades into the next, 14 ms."""
_STEP = _PIECE - _SEAM
_REACH = 128
"""Samples that a piece may move either way, 8 ms: together a pulse of the deepest voices, 62 Hz."""
_POINTS = 512
"""Of the Fourier transform that correlates a seam with all places where it may go on; no fewer than these samples."""
_STAY = 1e-3
"""What moving as far as may be costs, in energies of a seam: in silence and hiss a piece stays where it belongs."""


@dataclass(frozen=True)
class Stretched:
    """Waves in another tempo, and where their samples come from.

    Attributes:
        waves: shape (batch, n), zero from the row's length on.
        lengths: samples of each row, shape (batch,).
        places: first sample in the source of each piece of the result, shape (batch, pieces); piece k is laid from
            sample k · (its length - a seam) of the result on. Those before the source's first sample are negative.
    """

    waves: Tensor
    lengths: Tensor
    places: Tensor

    def heard_at(self, samples: Tensor) -> Tensor:
        """Where in the result samples of the source are heard.

        A sample that is laid twice counts where it is nearest to the middle of a piece; one that was left out counts
        as the seam where it is missing.

        Args:
            samples: shape (batch, m), of any number type.

        Returns:
            Samples of the result, shape (batch, m), int64, no greater than the row's length.
        """
        samples = samples.round().long()
        middles = self.places + _PIECE // 2
        # Pieces of slow speech may lie in another order than they were taken in; a few neighbors settle it.
        nearest = torch.searchsorted(middles.cummax(dim=1).values, samples.contiguous())
        near = (nearest[:, :, None] + torch.arange(-3, 4, device=samples.device)).clamp(0, middles.shape[1] - 1)
        offsets = samples[:, :, None] - middles.gather(1, near.flatten(1)).view_as(near)
        best = offsets.abs().argmin(dim=2, keepdim=True)
        piece, offset = near.gather(2, best)[:, :, 0], offsets.gather(2, best)[:, :, 0]
        # The first piece and the last have one seam only.
        before = torch.where(piece == 0, -_PIECE // 2, -_STEP // 2)
        after = torch.where(piece == middles.shape[1] - 1, _PIECE // 2, _STEP // 2)
        heard = piece * _STEP + _PIECE // 2 + offset.maximum(before).minimum(after)
        return heard.clamp(min=0).minimum(self.lengths[:, None])

    def taken_from(self, samples: Tensor) -> Tensor:
        """Which samples of the source are heard at samples of the result; in a seam, those of the nearer piece.

        Args:
            samples: shape (batch, m), of any number type.

        Returns:
            Samples of the source, shape (batch, m), int64; before its first sample and after its last is silence.
        """
        samples = samples.round().long()
        piece = ((samples - _SEAM // 2) // _STEP).clamp(0, self.places.shape[1] - 1)
        return self.places.gather(1, piece) + samples - piece * _STEP


@torch.no_grad()
def stretch(waves: Tensor, tempo: Tensor, lengths: Tensor | None = None) -> Stretched:
    """Change the tempo of waves and keep their pitch.

    A row's result does not depend on the other rows, nor on what stands after its length.

    Args:
        waves: shape (batch, n), n > 0, 16 kHz, on any device.
        tempo: times as fast, shape (batch,); 1 leaves a row as it is.
        lengths: samples of each row, shape (batch,); all n where nothing is said.

    Returns:
        Each row with round(length / tempo) samples, on the device of the waves.

    Raises:
        InputError: a tempo that is not above zero.

    >>> stretch(torch.zeros(2, 16000), torch.tensor([0.5, 1.6])).lengths.tolist()
    [32000, 10000]
    """
    # How long, and where in an even tempo: on the CPU, with all digits.
    tempo = tempo.cpu().double()
    if not bool(((tempo > 0) & tempo.isfinite()).all()):
        raise InputError(f"tempo: {tempo.min().item():g} is no tempo; choose numbers above 0, such as 0.5 to 1.8")
    batch, size = waves.shape
    lengths = torch.full((batch,), size) if lengths is None else lengths.cpu()
    results = (lengths / tempo).round().long()
    longest = int(results.max()) if batch else 0
    pieces = max(1, -(-(longest - _SEAM) // _STEP))
    # Middle to middle: so a piece's sound is at both its ends equally far from where an even tempo would have it.
    wanted = ((torch.arange(pieces) * _STEP + _PIECE / 2) * tempo[:, None] - _PIECE / 2).round().long()
    waves = _cut(waves.float(), lengths.to(waves.device))
    places = _places(waves, wanted.clamp(max=size))
    results = results.to(waves.device)
    return Stretched(_cut(_lay(waves, places)[:, :longest], results), results, places)


def _cut(waves: Tensor, lengths: Tensor) -> Tensor:
    return waves * (torch.arange(waves.shape[1], device=waves.device) < lengths[:, None])


def _places(waves: Tensor, wanted: Tensor) -> Tensor:
    """Where the pieces are taken, shape (batch, pieces), within `_REACH` of where they are wanted."""
    device = waves.device
    # Silence enough on both sides that nothing needs to be asked at the ends.
    before = _PIECE + _REACH
    sound = torch.nn.functional.pad(waves, (before, 2 * _PIECE + 2 * _REACH))
    first = wanted.to(device) + before - _REACH
    rows = torch.arange(len(waves), device=device)
    # All that does not depend on where the piece before was taken, for all pieces at once.
    regions = sound.unfold(1, _POINTS, 1)[rows[:, None], first]
    spectra = torch.fft.rfft(regions)
    power = torch.nn.functional.pad(regions.square().cumsum(2), (1, 0))
    energies = power[..., _SEAM : _SEAM + 2 * _REACH + 1] - power[..., : 2 * _REACH + 1]
    shifts = torch.arange(-_REACH, _REACH + 1, device=device) / _REACH
    costs = energies + (energies.mean(2, keepdim=True) + 1e-9) * _STAY * shifts.square()
    seams = sound.unfold(1, _SEAM, 1)
    places = [first[:, 0] + _REACH]
    for start, spectrum, cost in zip(first.unbind(1)[1:], spectra.unbind(1)[1:], costs.unbind(1)[1:], strict=True):
        ahead = torch.fft.rfft(seams[rows, places[-1] + _STEP], n=_POINTS)
        alike = torch.fft.irfft(spectrum * ahead.conj(), n=_POINTS)[:, : 2 * _REACH + 1]
        # |a - b|² of a seam's two sides, but for the first's own part, which is the same everywhere.
        places.append(start + cost.sub(alike, alpha=2).argmin(1))
    return torch.stack(places, dim=1) - before


def _lay(waves: Tensor, places: Tensor) -> Tensor:
    """The pieces one after another, each fading into the next, shape (batch, pieces · step + seam)."""
    index = places[:, :, None] + torch.arange(_PIECE, device=waves.device)
    is_inside = (index >= 0) & (index < waves.shape[1])
    sound = waves.gather(1, index.clamp(0, waves.shape[1] - 1).flatten(1)).view_as(index) * is_inside
    # A seam's two weights sum to 1: what meets is alike.
    rise = (torch.pi / 2 * (torch.arange(_SEAM, device=waves.device) + 0.5) / _SEAM).sin().square()
    sound[:, 1:, :_SEAM] = sound[:, 1:, :_SEAM] * rise + sound[:, :-1, _STEP:] * (1 - rise)
    return torch.cat([sound[:, :, :_STEP].flatten(1), sound[:, -1, _STEP:]], dim=1)
