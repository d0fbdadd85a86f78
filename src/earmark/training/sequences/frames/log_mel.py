"""Log-mel spectra as frames; they need no model."""

import hashlib
import math

import numpy as np
import torch
from pydantic import Field

from earmark.core.audio import SAMPLE_RATE, Wave, as_wave
from earmark.training.nn.frontends.log_mel import ClipLogMel, LogMelSettings
from earmark.training.sequences.frames.source import CPU, Floats, FrameSourceSettings


class LogMelFrameSettings(LogMelSettings, FrameSourceSettings):
    """Settings of log-mel frames: mel bands and mean normalization."""

    centered: bool = Field(
        False,
        description="subtract the mean of each band, which removes much of the effect of microphone and voice. The "
        "mean is over all audio that is processed at once, with its pauses: a chunk of a section (at most "
        "`context.longest_s`) and `context.context_s` on each side; the same length of the recording in validation and "
        "embedding; a stretched section and `episodes.context_s` on each side. The frames of a segment therefore "
        "depend on its context",
    )

    def build_source(self, device: torch.device = CPU) -> "LogMelFrames":
        """Build the frame source with these settings; its frames are computed on `device`."""
        return LogMelFrames(self, device)


class LogMelFrames:
    """Computes log-mel frames with the frontend of `earmark.training.nn.frontends.log_mel`.

    Args:
        settings: settings of the bands.
        device: device that computes the frames.
    """

    name = "log_mel"
    first_s = 0.0

    def __init__(self, settings: LogMelFrameSettings, device: torch.device) -> None:
        self.width = settings.n_mels
        self.hop = settings.hop
        self.fingerprint = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]
        # The mean and the level of the loudest band depend on the whole wave.
        is_global = settings.centered or settings.range_db > 0
        self.reach_s = math.inf if is_global else (settings.points + settings.hop) / SAMPLE_RATE
        self._settings = settings
        self._frontend = ClipLogMel(settings).to(device)
        self._device = device

    @torch.no_grad()
    def frames(self, wave: Wave) -> Floats:
        """Compute the frames of a wave of n samples, shape (1 + n // hop, bands); frame i is centered at i · hop.

        With `centered`, each band's mean over this wave is subtracted.
        """
        wave = as_wave(wave)
        if not len(wave):
            return np.zeros((0, self.width), np.float32)
        # The transform mirrors half a window at both ends, and needs at least that many samples.
        enough = np.pad(wave, (0, max(0, self._settings.points // 2 + 1 - len(wave))))
        made = self._frontend(torch.from_numpy(enough).to(self._device)[None])[0]
        made = made[: self._settings.frames(len(wave))]
        return (made - made.mean(dim=0) if self._settings.centered else made).cpu().numpy()
