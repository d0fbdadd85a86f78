"""Log-mel frames, which need no model."""

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
        description="subtract each band's mean, and with it much of the effect of microphone and voice. The mean is "
        "over all audio that is read at once, pauses too: a section (at most `context.longest_s`) and "
        "`context.context_s` on each side; the same amount of the whole recording for validation and embedding; a "
        "stretched section and `episodes.context_s` on each side. So the frames of a segment depend on its context",
    )

    def build_source(self, device: torch.device = CPU) -> "LogMelFrames":
        """See `FrameSourceSettings.build_source`."""
        return LogMelFrames(self, device)


class LogMelFrames:
    """Log-mel frames, see `earmark.training.nn.frontends.log_mel`.

    Args:
        settings: of the bands.
        device: where frames are computed.
    """

    name = "log_mel"
    first_s = 0.0

    def __init__(self, settings: LogMelFrameSettings, device: torch.device) -> None:
        self.width = settings.n_mels
        self.hop = settings.hop
        self.fingerprint = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]
        # A mean, or the loudest band, depends on the whole wave.
        is_global = settings.centered or settings.range_db > 0
        self.reach_s = math.inf if is_global else (settings.points + settings.hop) / SAMPLE_RATE
        self._settings = settings
        self._frontend = ClipLogMel(settings).to(device)
        self._device = device

    @torch.no_grad()
    def frames(self, wave: Wave) -> Floats:
        """Frames, shape (1 + n // hop, bands); frame i has its center at sample i · hop.

        With `centered`, each band's mean over this wave is subtracted.
        """
        wave = as_wave(wave)
        if not len(wave):
            return np.zeros((0, self.width), np.float32)
        # The transform mirrors half a window at the ends, which needs as many samples.
        enough = np.pad(wave, (0, max(0, self._settings.points // 2 + 1 - len(wave))))
        made = self._frontend(torch.from_numpy(enough).to(self._device)[None])[0]
        made = made[: self._settings.frames(len(wave))]
        return (made - made.mean(dim=0) if self._settings.centered else made).cpu().numpy()
