"""Frames of Google's speech_embedding, the tower of the shipped encoders, which was trained on millions of clips."""

import hashlib
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from earmark.core.audio import SAMPLE_RATE, Wave, as_wave
from earmark.training.nn.encoders.speech_embedding import SpeechEmbedding, load_published
from earmark.training.nn.encoders.stream import FrameEncoder
from earmark.training.nn.frontends.streaming import LogMel
from earmark.training.sequences.frames.source import CPU, Floats, FrameSourceSettings


class TowerFrameSettings(FrameSourceSettings):
    """Settings of the frames of the published tower."""

    kind: Literal["tower"] = Field("tower", description="which source of frames")
    late: int = Field(
        3,
        ge=0,
        description="offset of a frame's time from the center of its view, in frames; at 3 a frame depends most on the "
        "audio at its time, as bursts in noise and in speech show. Stream encoders use 0",
    )

    def build_source(self, device: torch.device = CPU) -> "TowerFrames":
        """See `FrameSourceSettings.build_source`."""
        return TowerFrames(self, device)


class TowerFrames:
    """Vectors of the published tower, one every 40 ms; each depends on 775 ms of audio.

    A stream computes the same vectors from the same samples, so that a trained head runs on streams.

    Args:
        settings: of the frames.
        device: where frames are computed.
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
        """Frames, shape (⌈n / hop⌉, 96), with silence around the wave; the time of frame i is (i + 0.5) · hop."""
        wave = as_wave(wave)
        count = -(-len(wave) // self.hop)
        if not count:
            return np.zeros((0, self.width), np.float32)
        reach = FrameEncoder.reach
        # A frame of a stream ends where a hop ends: the center of its view is 7.5 ms before its time.
        before = reach - (reach // 2 // self.hop + 1) * self.hop + self._late * self.hop
        needed = (count - 1) * self.hop + reach
        padded = np.pad(wave, (before, max(0, needed - before - len(wave))))
        mel = self._frontend(torch.from_numpy(padded).to(self._device)[None])
        step = SpeechEmbedding.mel_frames_per_frame
        return self._tower(mel[:, : mel.shape[1] // step * step], None)[0, :count].cpu().numpy()
