"""The verifier computes frame vectors of short audio: a second, slower and more accurate opinion on a candidate.

One ONNX file contains the graph and the model card, as for encoders of words. The graph needs the whole audio at once,
so it cannot follow a stream.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from earmark.core.audio import as_wave
from earmark.models.onnx_model import damaged, open_model, shipped_file

__all__ = ["SHIPPED", "Verifier", "load_verifier", "shipped_verifier"]

Floats = NDArray[np.float32]

SHIPPED = ("verifier",)
SHORTEST_S = 0.1
"""Shorter audio is padded with silence to this length, in seconds."""


class Verifier:
    """An encoder of short audio, loaded from an .onnx file by `load_verifier`.

    Attributes:
        name: the model's name.
        sample_rate: in Hz, 16000.
        dimension: length of a frame vector.
        hop_s: time between frames, in seconds.
        longest_s: the longest audio, in seconds.
        fingerprint: 16 hexadecimal digits that identify the file.
        card: the model card: data, licenses, changes.
    """

    def __init__(self, session: onnxruntime.InferenceSession, description: dict[str, Any], fingerprint: str) -> None:
        self.name: str = description["name"]
        self.sample_rate: int = description["sample_rate"]
        self.dimension: int = description["dimension"]
        self.hop_s: float = description["hop"] / self.sample_rate
        self.longest_s: float = description["longest_s"]
        self.card: dict[str, Any] = description["card"]
        self.fingerprint = fingerprint
        self._session = session

    def frames(self, wave: ArrayLike) -> Floats:
        """Compute the frame vectors of a wave.

        Args:
            wave: shape (n,), 16 kHz; the end of a wave longer than `longest_s` is left out.

        Returns:
            Shape (t, dimension); frame i describes the instant (i + 0.5) · `hop_s`.

        Raises:
            AudioError: the wave is not audio.
        """
        wave = as_wave(wave)[: round(self.longest_s * self.sample_rate)]
        missing = max(0, round(SHORTEST_S * self.sample_rate) - len(wave))
        return self._session.run(None, {"wave": np.pad(wave, (0, missing))[None]})[0][0]

    def __repr__(self) -> str:
        return f"Verifier({self.name!r}, dimension={self.dimension}, fingerprint={self.fingerprint!r})"


def load_verifier(source: str | Path | None = None) -> Verifier:
    """Load a verifier: the shipped one, or another .onnx file.

    Args:
        source: ``"verifier"`` (the default), or the path of an .onnx file.

    Raises:
        EncoderError: the file is missing, or not a verifier of earmark.
    """
    name = str(source or "verifier")
    path = shipped_file(name) if name in SHIPPED else Path(name)
    session, description, fingerprint = open_model(path, "verifier", SHIPPED)
    try:
        return Verifier(session, description, fingerprint)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


@cache
def shipped_verifier() -> Verifier | None:
    """The verifier that ships with earmark, loaded once; None where its file is not installed."""
    return load_verifier() if shipped_file("verifier").is_file() else None
