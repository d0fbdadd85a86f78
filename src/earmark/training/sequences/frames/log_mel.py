"""Log-mel energies as frames: nothing to download, nothing to learn."""

import hashlib
import math

import numpy as np
import torch
from pydantic import Field

from earmark.core.audio import SAMPLE_RATE, Wave, as_wave
from earmark.training.nn.frontends.log_mel import ClipLogMel, LogMelSettings
from earmark.training.sequences.frames.source import Floats


class LogMelFrameSettings(LogMelSettings):
    """Bands, and whether what is always there is taken off them."""

    centered: bool = Field(
        False,
        description="take each band's mean off, and with it much of the microphone and the voice. The mean is over all "
        "that is heard at once, pauses too: a section (of a longer one `context.longest_s`) and `context.context_s` on "
        "each side; so much of the whole recording, where segments are embedded or validated; a stretched section and "
        "`episodes.context_s` on each side. So one sound has other frames where other sound is heard with it",
    )


class LogMelFrames:
    """Energies of mel bands, see `earmark.training.nn.frontends.log_mel`.

    Args:
        settings: of the bands.
        device: where they are computed.
    """

    name = "log_mel"
    first_s = 0.0

    def __init__(self, settings: LogMelFrameSettings, device: torch.device) -> None:
        self.width = settings.n_mels
        self.hop = settings.hop
        self.fingerprint = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]
        # A mean, or the loudest band, is of all that is heard.
        is_global = settings.centered or settings.range_db > 0
        self.reach_s = math.inf if is_global else (settings.points + settings.hop) / SAMPLE_RATE
        self._settings = settings
        self._frontend = ClipLogMel(settings).to(device)
        self._device = device

    @torch.no_grad()
    def frames(self, wave: Wave) -> Floats:
        """Shape (1 + n // hop, bands); frame i has its middle at sample i · hop.

        Where they are centered, each band's mean over just this wave is taken off.
        """
        wave = as_wave(wave)
        if not len(wave):
            return np.zeros((0, self.width), np.float32)
        # As much as is mirrored at the ends of a longer wave.
        enough = np.pad(wave, (0, max(0, self._settings.points // 2 + 1 - len(wave))))
        made = self._frontend(torch.from_numpy(enough).to(self._device)[None])[0]
        made = made[: self._settings.frames(len(wave))]
        return (made - made.mean(dim=0) if self._settings.centered else made).cpu().numpy()
