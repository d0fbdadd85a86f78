"""A speaker encoder embeds voices: embeddings of one voice are similar, whatever the words.

One ONNX file contains the graph and the model card, as for encoders of words. Its description names its kind.
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

__all__ = ["EARLIER", "FORMAT", "METADATA_KEY", "SHIPPED", "EncoderError", "SpeakerEncoder", "load_speaker_encoder"]

Floats = NDArray[np.float32]

SHIPPED = ("speaker",)

EARLIER = {
    "7378eece21db1e91": Calibration(
        rates=(0.01, 0.02, 0.05, 0.1, 0.2),
        thresholds=(0.563, 0.523, 0.457, 0.39, 0.296),
        slope=18.5,
        rate_name="false_accepts",
    )
}
"""Fingerprints of the shipped speaker encoders of earlier versions, with the thresholds that their speakers have."""


class SpeakerEncoder:
    """An encoder of voices, loaded from an .onnx file by `load_speaker_encoder`.

    Attributes:
        name: the model's name.
        sample_rate: in Hz, 16000.
        dimension: length of an embedding.
        samples: input length of the graph in samples; None for any length.
        fingerprint: 16 hexadecimal digits that identify the file.
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
        """The calibration in the model card, which converts a share of accepted impostors to a threshold.

        Raises:
            InputError: the card holds no calibration.
        """
        return Calibration.from_card(self.card, f"speaker encoder {self.name!r}", "false_accepts")

    def embed(self, wave: ArrayLike, *, piece_s: float = 60.0) -> Floats:
        """Embed the voice in a wave.

        The whole wave is embedded, with its pauses: cut long pauses out first (`earmark.spotting.speech.spoken_parts`).

        Args:
            wave: shape (n,), 16 kHz, any length; 1 s is short, 5 s are good.
            piece_s: length of the pieces that are embedded one by one, in seconds, to limit memory.

        Returns:
            Unit vector, shape (d,).

        Raises:
            AudioError: the wave is empty, not one-dimensional, or not finite.
        """
        wave = as_wave(wave)
        if not len(wave):
            raise AudioError("the wave is empty; give it at least one sample")
        if self.samples is None:
            pieces = np.array_split(wave, -(-len(wave) // round(piece_s * self.sample_rate)))
        else:
            pieces = list(crops(wave, self.samples))
        # All pieces have the same weight.
        return unit_mean(unit(np.concatenate([self._run(piece) for piece in pieces])))

    def embed_batch(self, waves: Sequence[ArrayLike]) -> Floats:
        """Embed waves of any lengths, each as `embed` does; returns unit vectors, shape (m, d)."""
        return (
            np.stack([self.embed(wave) for wave in waves]) if len(waves) else np.zeros((0, self.dimension), np.float32)
        )

    def _run(self, wave: Wave) -> Floats:
        return self._session.run(None, {"wave": np.ascontiguousarray(wave)[None]})[0]

    def __repr__(self) -> str:
        return f"SpeakerEncoder({self.name!r}, dimension={self.dimension}, fingerprint={self.fingerprint!r})"


def load_speaker_encoder(source: str | Path | None = None) -> SpeakerEncoder:
    """Load a speaker encoder: the shipped one, or your own .onnx file.

    Args:
        source: ``"speaker"`` (the default), or the path of an .onnx file that ``earmark export`` wrote.

    Raises:
        EncoderError: the file is missing, or not a speaker encoder of earmark.
    """
    name = str(source or "speaker")
    path = shipped_file(name) if name in SHIPPED else Path(name)
    session, description, fingerprint = open_model(path, "speaker", SHIPPED)
    try:
        return SpeakerEncoder(session, description, fingerprint)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def crops(wave: Wave, samples: int) -> Floats:
    """Cut evenly spaced crops of one length that cover a wave; a shorter wave is repeated.

    Args:
        wave: shape (n,), n > 0.
        samples: length of a crop.

    Returns:
        Shape (⌈n / samples⌉, samples).

    >>> crops(np.float32([1, 2, 3]), 2).tolist(), crops(np.float32([1, 2]), 5).tolist()
    ([[1.0, 2.0], [2.0, 3.0]], [[1.0, 2.0, 1.0, 2.0, 1.0]])
    """
    if len(wave) <= samples:
        return np.resize(wave, samples)[None]
    starts = np.linspace(0, len(wave) - samples, -(-len(wave) // samples)).round().astype(np.int64)
    return np.lib.stride_tricks.sliding_window_view(wave, samples)[starts]
