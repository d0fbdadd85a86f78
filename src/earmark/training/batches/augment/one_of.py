"""One effect per clip, as in the published keyword systems: reverberation, music, speech, noise, or none.

The recipe is that of Jung et al. (2023), section 3, after voxceleb_trainer: six equally likely cases, two of which
leave the clip clean. Where the code of voxceleb_trainer differs from the paper, this module follows the paper:

* the SNR compares mean powers of the whole clip and the whole crop, not the power of one sample;
* a crop is from a random position of its recording, not always from the middle;
* an impulse response begins with its direct sound, as in `augment/room.py`, because a delay would shift the word out of
  the middle of the clip;
* an impulse response has unit energy before its random gain, so that the level does not depend on the file's scale.

The sum is not clipped, so that loud noise adds no distortion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PositiveInt, model_validator
from torch import Tensor

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.training.batches.augment.audio import AugmentationAudio
from earmark.training.batches.augment.room import fit
from earmark.training.batches.recordings import Crops, Recordings
from earmark.training.batches.threads import share_rows


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the range ({pair[0]:g}, {pair[1]:g}) is not ascending; give the lower number first")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Count = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_rising)]
Weight = Annotated[float, Field(ge=0, description="relative probability")]
_SNR = "range of the SNR of the clip to each recording, in dB"
_FILES = "range of the number of recordings"

_NOTHING, _ROOM, *_MIXES = range(5)

_SILENCE = 1e-2
"""RMS that digital silence counts as, -40 dB. If silence had no noise, noise would show that a clip is not silence."""
_DIGITAL_SILENCE = 2.0**-16
"""Maximum RMS of digital silence, half a step of 16 bits."""
_FAINTEST = 1e-6
"""Minimum RMS of noise that is scaled to the full level."""

_CACHED = 1 << 26
"""Maximum number of values in the cache of room spectra."""


class RoomEffect(Settings):
    """Settings of the effect that reverberates a clip."""

    weight: Weight = 1.0
    gain: Range = Field((-7.0, 3.0), description="range of g; a response of unit energy is scaled by 10^(g/10)")


class MixEffect(Settings):
    """Settings of an effect that mixes other recordings with a clip; the defaults are those for noise."""

    weight: Weight = 1.0
    snr_db: Range = Field((0.0, 15.0), description=_SNR)
    files: Count = Field((1, 1), description=_FILES)


class MusicEffect(MixEffect):
    """Settings of the effect that mixes music with the clip."""

    snr_db: Range = Field((5.0, 15.0), description=_SNR)


class SpeechEffect(MixEffect):
    """Settings of the effect that mixes other speakers with the clip; voxceleb_trainer takes 3 to 7 recordings."""

    snr_db: Range = Field((13.0, 20.0), description=_SNR)
    files: Count = Field((1, 2), description=_FILES)


class OneOfSettings(Settings):
    """Settings of the effects, and the weights with which one of them, or none, is chosen for each clip."""

    kind: Literal["one_of"] = Field("one_of", description="one effect per clip")
    nothing: Weight = 2.0
    room: RoomEffect = Field(RoomEffect(), description="a room impulse response of `data.rooms`")
    noise: MixEffect = Field(MixEffect(), description="a recording of `data.noise`")
    music: MusicEffect = Field(MusicEffect(), description="a recording of `data.music`")
    speech: SpeechEffect = Field(SpeechEffect(), description="recordings of `data.speech`")

    @property
    def mixes(self) -> tuple[MixEffect, ...]:
        """Settings of the three effects that mix recordings with a clip: noise, music and speech."""
        return self.noise, self.music, self.speech

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the choices for a clip: no effect, room, noise, music and speech, in this order."""
        return self.nothing, self.room.weight, *(mix.weight for mix in self.mixes)

    @model_validator(mode="after")
    def _happens(self) -> Self:
        if not sum(self.weights):
            raise ValueError(
                "nothing: the weight of no effect and the weights of all effects are 0; set one of them above 0"
            )
        return self

    def build(self, audio: AugmentationAudio, device: torch.device) -> "OneOfAugmentation":
        """Build the augmentation with these settings; `audio` has the recordings of its effects."""
        return OneOfAugmentation(self, audio, device)


@dataclass(frozen=True)
class OneOfPlan:
    """Effects that are randomly chosen for the clips of a batch, before they are applied.

    Attributes:
        batch: number of clips.
        in_room: numbers of the clips with reverberation, int64, shape (r,), ascending.
        room: room number for each of these clips, int64, shape (r,).
        room_gain: gain of each impulse response, shape (r,).
        mixed: number of the clip that each crop is added to, int64, shape (k,), with repetitions.
        crops: crops of recordings, shape (k,).
        snr_db: ratio of the clip's power to that of the crop, in dB, shape (k,).
    """

    batch: int
    in_room: Tensor
    room: Tensor
    room_gain: Tensor
    mixed: Tensor
    crops: Crops
    snr_db: Tensor


class OneOfAugmentation:
    """Reverberates a clip, or mixes it with noise, music or speech, or leaves it clean.

    Args:
        settings: probabilities and ranges of the effects.
        audio: recordings of each effect, and room impulse responses.
        device: device of the batches.
        cached: maximum number of values in the cache of room spectra.

    Raises:
        InputError: an effect has a weight above 0, but no recordings.
    """

    def __init__(
        self, settings: OneOfSettings, audio: AugmentationAudio, device: torch.device, *, cached: int = _CACHED
    ) -> None:
        self.settings = settings
        self.cached = cached
        _check_recordings(settings, audio)
        self.pools = [len(audio.noise), len(audio.music), len(audio.speech)]
        self.recordings = Recordings([*audio.noise, *audio.music, *audio.speech], device)
        self.responses = _aligned(audio.rooms or [torch.ones(1)]).to(device)
        self._spectra: dict[tuple[int, int], Tensor] = {}

    def augment_clips(
        self, draw: Callable[[slice], Tensor], count: int, rows: slice, generator: torch.Generator
    ) -> Tensor:
        """Draw some rows of a batch of clips, and apply an effect to each; see `FieldAugmentation.augment_clips`."""
        waves = draw(rows)
        return self.apply(waves, self.plan(count, waves.shape[1], generator), rows)

    def plan(self, batch: int, size: int, generator: torch.Generator) -> OneOfPlan:
        """Choose an effect and its random parameters for each clip of a batch.

        Args:
            batch: number of clips.
            size: samples of a clip.
            generator: source of randomness, on the CPU.
        """

        def uniform(low: float, high: float, count: int) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=generator)

        options = self.settings
        effect = torch.multinomial(torch.tensor(options.weights), batch, replacement=True, generator=generator)
        in_room = (effect == _ROOM).nonzero()[:, 0]
        room = torch.randint(len(self.responses), (len(in_room),), generator=generator)
        room_gain = 10 ** (uniform(*options.room.gain, len(in_room)) / 10)
        mixed, recording, snr_db = [], [], []
        first = 0
        for number, mix, pool in zip(_MIXES, options.mixes, self.pools, strict=True):
            clips = (effect == number).nonzero()[:, 0]
            files = torch.randint(mix.files[0], mix.files[1] + 1, (len(clips),), generator=generator)
            # NumPy's, because torch's repeat_interleave wakes all threads for these few numbers.
            mixed.append(torch.from_numpy(np.repeat(clips.numpy(), files.numpy())))
            recording.append(first + torch.randint(max(1, pool), (len(mixed[-1]),), generator=generator))
            snr_db.append(uniform(*mix.snr_db, len(mixed[-1])))
            first += pool
        crops = self.recordings.plan(torch.cat(recording), size, generator)
        return OneOfPlan(batch, in_room, room, room_gain, torch.cat(mixed), crops, torch.cat(snr_db))

    def apply(self, waves: Tensor, plan: OneOfPlan, rows: slice | None = None) -> Tensor:
        """Apply the effects of a plan to clips of its batch.

        On a CPU, the result for a clip is bitwise the same for any choice of rows.

        Args:
            waves: the clips of ``rows``, shape (rows, n); changed in place, so that clean clips cost nothing.
            plan: plan of the whole batch.
            rows: consecutive clips of the batch; by default all.

        Returns:
            ``waves``.
        """
        first, _, _ = (slice(None) if rows is None else rows).indices(plan.batch)
        # For the whole batch: vectorized powers round differently at the end of a vector, which depends on the rows.
        level = 10 ** (-plan.snr_db / 20)
        length = self._transform(waves.shape[1])

        def work(part: slice) -> None:
            mine = (plan.in_room >= first + part.start) & (plan.in_room < first + part.stop)
            if mine.any():
                self._reverberate(waves, plan.in_room[mine] - first, plan.room[mine], plan.room_gain[mine], length)
            mine = (plan.mixed >= first + part.start) & (plan.mixed < first + part.stop)
            if mine.any():
                mix = self.mix_rows if waves.device.type == "cpu" else self.mix
                mix(waves, plan.mixed[mine] - first, plan.crops[mine], level[mine])

        if waves.device.type == "cpu":
            share_rows(len(waves), work)
        else:
            work(slice(0, len(waves)))
        return waves

    def _transform(self, size: int) -> int:
        """Choose the length of the Fourier transforms that reverberate waves of ``size`` samples, a power of two.

        The spectra of all rooms are cached for this length, unless they take too much memory.
        """
        length = 1 << (size + min(size, self.responses.shape[1]) - 2).bit_length()
        if (size, length) not in self._spectra and len(self.responses) * length <= self.cached:
            self._spectra = {(size, length): torch.fft.rfft(self.responses[:, :size], n=length)}
        return length

    def _reverberate(self, waves: Tensor, clips: Tensor, room: Tensor, gain: Tensor, length: int) -> None:
        size, clips = waves.shape[1], clips.to(waves.device)
        dry = waves.new_empty(len(clips), length)
        torch.index_select(waves, 0, clips, out=dry[:, :size])
        dry[:, size:] = 0
        spectra = torch.fft.rfft(dry)
        responses = self._spectra.get((size, length))
        if responses is None:
            responses = torch.fft.rfft(self.responses[room.to(waves.device), :size], n=length)
            room = torch.arange(len(room))
        if waves.device.type == "cpu":
            # Row by row: vectorized complex products round differently at the end of a vector.
            for spectrum, number in zip(spectra.numpy(), room.tolist(), strict=True):
                spectrum *= responses[number].numpy()
        else:
            spectra *= responses[room.to(waves.device)]
        wet = torch.fft.irfft(spectra, n=length)[:, :size]
        waves.index_copy_(0, clips, wet.mul_(gain[:, None].to(waves.device)))

    def mix(self, waves: Tensor, clips: Tensor, crops: Crops, level: Tensor) -> None:
        """Add crops of recordings to clips in place, on any device.

        Args:
            waves: all clips, shape (batch, n).
            clips: number of the clip that each crop is added to, shape (k,).
            crops: the crops, shape (k,).
            level: ratio of the RMS of each scaled crop to that of its clip, shape (k,).
        """
        clips = clips.to(waves.device)
        noise = self.recordings.cut(crops, waves.shape[1])
        clean, added = (torch.linalg.vector_norm(x, dim=1) / waves.shape[1] ** 0.5 for x in (waves[clips], noise))
        clean = clean.where(clean > _DIGITAL_SILENCE, _SILENCE)
        noise *= (level.to(waves.device) * clean / added.clamp(min=_FAINTEST))[:, None]
        waves.index_add_(0, clips, noise)

    def mix_rows(self, waves: Tensor, clips: Tensor, crops: Crops, level: Tensor) -> None:
        """Add crops to clips in place like `mix`, but on the CPU and one by one.

        This is faster there: a clip stays in the CPU's cache, and most crops are not copied.
        """
        rows = waves.numpy()
        noises = self.recordings.each(crops, waves.shape[1])
        clean: dict[int, float] = {}
        for clip, noise, factor in zip(clips.tolist(), noises, level.tolist(), strict=True):
            wave = rows[clip]
            if clip not in clean:
                rms = _rms(wave)
                clean[clip] = rms if rms > _DIGITAL_SILENCE else _SILENCE
            wave += noise * np.float32(factor * clean[clip] / max(_rms(noise), _FAINTEST))


def _rms(wave: NDArray[np.float32]) -> float:
    return float(np.dot(wave, wave) / len(wave)) ** 0.5


def _aligned(responses: Sequence[Tensor]) -> Tensor:
    """Prepare room impulse responses: cut what precedes the direct sound, and scale to unit energy.

    Returns:
        Shape (rooms, n), n the length of the longest response; shorter responses are zero-padded.
    """
    direct = [response[int(response.abs().argmax()) :] for response in responses]
    rows = torch.stack([fit(response, max(map(len, direct))) for response in direct])
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-9)


def _check_recordings(settings: OneOfSettings, audio: AugmentationAudio) -> None:
    effects = {"room": audio.rooms, "noise": audio.noise, "music": audio.music, "speech": audio.speech}
    for effect, waves in effects.items():
        weight = getattr(settings, effect).weight
        if weight and not waves:
            key = "data.rooms" if effect == "room" else f"data.{effect}"
            raise InputError(
                f"{key}: there are no recordings, but augment.{effect}.weight is {weight:g}; name recordings, or set "
                "this weight to 0"
            )
