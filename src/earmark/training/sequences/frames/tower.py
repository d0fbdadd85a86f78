"""Frames of Google's speech_embedding, on which the shipped encoders are built: learned from millions of clips."""

import hashlib
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from earmark.core.audio import SAMPLE_RATE, Wave, as_wave
from earmark.training.nn.encoders.speech_embedding import SpeechEmbedding, load_published
from earmark.training.nn.encoders.stream import FrameEncoder
from earmark.training.nn.frontends.streaming import LogMel
from earmark.training.sequences.frames.source import Floats


class TowerFrameSettings(BaseModel):
    """Where in its view a frame stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tower"] = Field("tower", description="which source of frames")
    late: int = Field(
        3,
        ge=0,
        description="frames after the middle of its view at which a frame stands: at 3 it hears best what is there, as "
        "bursts in noise and in speech show; encoders of streams take 0",
    )


class TowerFrames:
    """The published tower's vectors, one every 40 ms; each sees 775 ms of sound.

    They are those that a stream computes, of the same samples: what learns from them hears the same later on.

    Args:
        settings: where frames stand.
        device: where they are computed.
    """

    name = "tower"
    width = 96
    hop = FrameEncoder.hop
    first_s = hop / 2 / SAMPLE_RATE

    def __init__(self, settings: TowerFrameSettings, device: torch.device) -> None:
        self._late = settings.late
        self.reach_s = (FrameEncoder.reach + settings.late * self.hop) / SAMPLE_RATE
        self._frontend = LogMel().to(device)
        self._tower = load_published().eval().to(device)
        self._device = device
        weights = b"".join(tensor.cpu().numpy().tobytes() for tensor in self._tower.state_dict().values())
        self.fingerprint = f"{hashlib.sha256(weights).hexdigest()[:16]}-{settings.late}-as-streams"

    @torch.no_grad()
    def frames(self, wave: Wave) -> Floats:
        """Shape (⌈n / hop⌉, 96), with silence around the wave; frame i stands at (i + 0.5) · hop."""
        wave = as_wave(wave)
        count = -(-len(wave) // self.hop)
        if not count:
            return np.zeros((0, self.width), np.float32)
        reach = FrameEncoder.reach
        # A stream's frame ends where a hop ends: its view's middle is 7.5 ms before the instant that it stands for.
        before = reach - (reach // 2 // self.hop + 1) * self.hop + self._late * self.hop
        needed = (count - 1) * self.hop + reach
        heard = np.pad(wave, (before, max(0, needed - before - len(wave))))
        mel = self._frontend(torch.from_numpy(heard).to(self._device)[None])
        step = SpeechEmbedding.mel_frames_per_frame
        return self._tower(mel[:, : mel.shape[1] // step * step], None)[0, :count].cpu().numpy()
