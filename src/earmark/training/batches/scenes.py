"""Scenes: clips in context, as in a stream, cut to one length.

In real audio a word has neighbors. Each clip is resampled to a random speed and placed at a random time of a scene,
with parts of other clips before and after it. A batch of scenes is drawn by a few gathers from the bank's samples.
"""

from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import Settings
from earmark.training.batches.clip_bank import ClipBank


class SceneSettings(Settings):
    """Settings of scenes: their length, and the position, speed and neighbors of the clip in each."""

    kind: Literal["placed"] = Field("placed", description="scenes: clips placed among other clips")
    length_s: float = Field(2.0, gt=0.8, description="length of a scene, in seconds")
    margin_s: float = Field(
        0.39, ge=0, description="minimum distance of the spoken part from the ends of the scene, in seconds"
    )
    speed: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.88, 1.14), description="range of the speed, which changes pitch and tempo"
    )
    neighbor: float = Field(
        0.5, ge=0, le=1, description="probability of a neighbor before the clip, and of one after it"
    )
    gap_s: tuple[float, float] = Field((0.02, 0.3), description="range of the pause between neighbors, in seconds")
    neighbor_db: float = Field(6.0, ge=0, description="maximum level difference of a neighbor, in dB")

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.length_s - 2 * self.margin_s < 0.3:
            raise ValueError(
                f"margin_s: two margins of {self.margin_s:g} s leave under 0.3 s for a word; lower margin_s"
            )
        return self


@dataclass(frozen=True)
class SceneBatch:
    """A batch of scenes: clips, each placed in a longer wave.

    Attributes:
        waves: shape (batch, n), spoken parts at an RMS of 0.1.
        spoken: first and last + 1 sample of the spoken part, shape (batch, 2).
    """

    waves: Tensor
    spoken: Tensor


class Scenes:
    """Draws scenes from a clip bank: a clip at a random time, with parts of other clips before and after it.

    Args:
        bank: clip bank.
        settings: scene settings.
        device: device of the scenes; a GPU gets a copy of the bank's samples, on the CPU they stay memory-mapped.
    """

    def __init__(self, bank: ClipBank, settings: SceneSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.samples = torch.from_numpy(bank.samples).to(device)
        self.start = torch.from_numpy(bank.start).to(device)
        self.length = torch.from_numpy(bank.length).to(device)
        self.spoken = torch.from_numpy(bank.spoken).to(device)
        self.level = torch.from_numpy(bank.level).float().to(device)

    def draw(self, clips: Tensor, generator: torch.Generator) -> SceneBatch:
        """Draw a scene for each clip, with the clip at a random time and with random neighbors.

        Args:
            clips: clip numbers, shape (batch,).
            generator: source of randomness, on the CPU.
        """
        options = self.settings
        batch = len(clips)
        size = round(options.length_s * SAMPLE_RATE)
        margin = round(options.margin_s * SAMPLE_RATE)

        def uniform(low: float, high: float) -> Tensor:
            return (low + (high - low) * torch.rand(batch, generator=generator)).to(self.device)

        clips = clips.to(self.device)
        speed = uniform(*options.speed)
        spoken = (self.spoken[clips, 1] - self.spoken[clips, 0]) / speed
        room = size - 2 * margin
        first = margin + uniform(0, 1) * (room - spoken).clamp(min=0)
        last = first + spoken.clamp(max=room)
        # A longer spoken part is cut at a random position.
        begin = self.spoken[clips, 0] + uniform(0, 1) * (spoken - room).clamp(min=0) * speed
        wave = self._place(clips, speed, first, begin, size)
        for after in (False, True):
            present = (torch.rand(batch, generator=generator) < options.neighbor).to(self.device)
            other = torch.randint(len(self.start), (batch,), generator=generator).to(self.device)[present]
            gap = uniform(*options.gap_s)[present] * SAMPLE_RATE
            level = 10 ** (uniform(-options.neighbor_db, options.neighbor_db)[present, None] / 20)
            pace = uniform(*options.speed)[present]
            if after:
                edge, anchor = last[present] + gap, self.spoken[other, 0]
            else:
                edge, anchor = first[present] - gap, self.spoken[other, 1]
            fade = _fade(size, edge, after=after)
            wave[present] = torch.lerp(wave[present], level * self._place(other, pace, edge, anchor, size), fade)
        return SceneBatch(wave, torch.stack([first, last], dim=1).round().long())

    def _place(self, clips: Tensor, speed: Tensor, at: Tensor, anchor: Tensor, size: int) -> Tensor:
        """Resample each clip to a speed, and place it in a scene of ``size`` samples that is zero elsewhere.

        The clip's sample ``anchor`` becomes sample ``at`` of the scene.
        """
        sample = torch.arange(size, dtype=torch.float32, device=self.device)
        position = torch.addcmul(anchor[:, None], sample - at[:, None], speed[:, None])
        end = (self.length[clips, None] - 2).float()
        inside = position.clamp(min=torch.zeros_like(end), max=end)
        index = inside.long()
        fraction = inside - index
        index += self.start[clips, None]
        before = self.samples.take(index).float()
        wave = torch.lerp(before, self.samples.take(index.add_(1)).float(), fraction)
        return wave * ((inside == position) * (0.1 / self.level[clips, None]))


def _fade(size: int, edge: Tensor, *, after: bool) -> Tensor:
    """Compute weights that fade a neighbor in after an edge, or out before it, shape (batch, size).

    The weight is 1 on the neighbor's side of the edge and 0 on the other, with a ramp of 5 ms.
    """
    ramp = (torch.arange(size, device=edge.device) - edge[:, None]) / (0.005 * SAMPLE_RATE)
    return (ramp if after else -ramp).clamp(0, 1)
