"""Frames of Google's speech_embedding network, the published tower of the shipped encoder base."""

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

    kind: Literal["tower"] = Field("tower", description="kind of frame source")
    late: int = Field(
        3,
        ge=0,
        description="delay of a frame's time after the center of the audio that it depends on, in frames; with 3, a "
        "frame depends most on the audio at its time, as measured with bursts of noise. Stream encoders use 0",
    )

    def build_source(self, device: torch.device = CPU) -> "TowerFrames":
        """Build the frame source with these settings; its frames are computed on `device`."""
        return TowerFrames(self, device)


class TowerFrames:
    """Computes the vectors of the published tower, one every 40 ms; each depends on 775 ms of audio.

    A stream encoder computes the same vectors from the same samples, so that a trained head runs on streams.

    Args:
        settings: delay of the frames.
        device: device that computes the frames.
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
        """Compute the frames of a wave of n samples, which is padded with silence; shape (⌈n / hop⌉, 96).

        The center of frame i is sample (i + 0.5) · hop.
        """
        wave = as_wave(wave)
        count = -(-len(wave) // self.hop)
        if not count:
            return np.zeros((0, self.width), np.float32)
        reach = FrameEncoder.reach
        # A frame of a stream ends at the end of a hop, so that its center is 7.5 ms before its time.
        before = reach - (reach // 2 // self.hop + 1) * self.hop + self._late * self.hop
        needed = (count - 1) * self.hop + reach
        padded = np.pad(wave, (before, max(0, needed - before - len(wave))))
        mel = self._frontend(torch.from_numpy(padded).to(self._device)[None])
        step = SpeechEmbedding.mel_frames_per_frame
        return self._tower(mel[:, : mel.shape[1] // step * step], None)[0, :count].cpu().numpy()
