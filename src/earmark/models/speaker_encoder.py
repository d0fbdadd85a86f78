"""A speaker encoder turns speech into the direction of a voice: alike for one voice, whatever it says.

One ONNX file holds graph and card, as for the encoders that hear words; the card says which of the two a file is.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from earmark.core.audio import AudioError, Wave, as_wave
from earmark.core.vectors import unit, unit_mean
from earmark.models.calibration import Calibration
from earmark.models.onnx_model import FORMAT, METADATA_KEY, EncoderError, damaged, open_model, shipped_file

__all__ = ["FORMAT", "METADATA_KEY", "SHIPPED", "EncoderError", "SpeakerEncoder", "load_speaker_encoder"]

Floats = NDArray[np.float32]

SHIPPED = ("speaker",)
_PIECE_S = 60.0  # how much sound is embedded at a time, so that an hour needs no more memory than a minute


class SpeakerEncoder:
    """A loaded speaker encoder; made by :func:`load_speaker_encoder`.

    Attributes:
        name: the model's name.
        sample_rate: samples a second that it hears, 16000.
        dimension: length of an embedding.
        samples: how much sound its graph takes at a time; None for any amount.
        fingerprint: 16 hexadecimal digits that tell this file from every other.
        card: the model card: data, licenses, numbers, calibration.
    """

    def __init__(self, session: onnxruntime.InferenceSession, description: dict[str, Any], fingerprint: str) -> None:
        self.name: str = description["name"]
        self.sample_rate: int = description["sample_rate"]
        self.dimension: int = description["dimension"]
        self.samples: int | None = description["samples"]
        self.card: dict[str, Any] = description["card"]
        self.fingerprint = fingerprint
        self._session = session

    @cached_property
    def calibration(self) -> Calibration:
        """Thresholds for shares of impostors that are accepted, from the card.

        Raises:
            InputError: the card holds no calibration.
        """
        return Calibration.from_card(self.card, f"speaker encoder {self.name!r}", "false_accepts")

    def embed(self, wave: ArrayLike) -> Floats:
        """Embed the voice in a wave.

        All of it counts, pauses too: cut them out where they are long (`speech.spoken_parts`).

        Args:
            wave: shape (n,), 16 kHz, of any length; 1 s is little, 5 s are good.

        Returns:
            Unit vector, shape (d,).

        Raises:
            AudioError: the wave is empty, not one-dimensional, or not finite.
        """
        wave = as_wave(wave)
        if not len(wave):
            raise AudioError("the wave is empty; nothing can be embedded")
        if self.samples is None:
            pieces = np.array_split(wave, -(-len(wave) // round(_PIECE_S * self.sample_rate)))
        else:
            pieces = list(crops(wave, self.samples))
        # Each piece counts alike.
        return unit_mean(unit(np.concatenate([self._run(piece) for piece in pieces])))

    def embed_batch(self, waves: Sequence[ArrayLike]) -> Floats:
        """Embed waves of any lengths: shape (m, d)."""
        return (
            np.stack([self.embed(wave) for wave in waves]) if len(waves) else np.zeros((0, self.dimension), np.float32)
        )

    def _run(self, wave: Wave) -> Floats:
        return self._session.run(None, {"wave": np.ascontiguousarray(wave)[None]})[0]

    def __repr__(self) -> str:
        return f"SpeakerEncoder({self.name!r}, dimension={self.dimension}, fingerprint={self.fingerprint!r})"


def load_speaker_encoder(source: str | Path | None = None) -> SpeakerEncoder:
    """Load the shipped speaker encoder or one of your own.

    Args:
        source: ``"speaker"`` (the default), or the path of an .onnx file that ``earmark export`` wrote.

    Raises:
        EncoderError: no such file, or not a speaker encoder of ours.
    """
    name = str(source or "speaker")
    path = shipped_file(name) if name in SHIPPED else Path(name)
    session, description, fingerprint = open_model(path, "speaker", SHIPPED)
    try:
        return SpeakerEncoder(session, description, fingerprint)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def crops(wave: Wave, samples: int) -> Floats:
    """Evenly spaced stretches of one length that together cover a wave; a shorter wave is repeated.

    Args:
        wave: shape (n,), n > 0.
        samples: length of a stretch.

    Returns:
        Shape (⌈n / samples⌉, samples).

    >>> crops(np.float32([1, 2, 3]), 2).tolist(), crops(np.float32([1, 2]), 5).tolist()
    ([[1.0, 2.0], [2.0, 3.0]], [[1.0, 2.0, 1.0, 2.0, 1.0]])
    """
    if len(wave) <= samples:
        return np.resize(wave, samples)[None]
    starts = np.linspace(0, len(wave) - samples, -(-len(wave) // samples)).round().astype(np.int64)
    return np.lib.stride_tricks.sliding_window_view(wave, samples)[starts]
