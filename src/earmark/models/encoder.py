"""An encoder turns sound into frame vectors; the embedding of a stretch of sound is the direction of their sum.

One ONNX file holds everything: the model card, and the graph, which maps the next samples and what it remembers to
frame vectors and what it remembers then. Whole files and live streams run through the same graph, so that they agree.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from earmark.core.audio import AudioError, as_wave
from earmark.core.vectors import unit
from earmark.models.calibration import Calibration
from earmark.models.onnx_model import FORMAT, METADATA_KEY, EncoderError, damaged, open_model, shipped_file

__all__ = ["FORMAT", "METADATA_KEY", "SHIPPED", "Encoder", "EncoderError", "Stream", "load_encoder"]

Floats = NDArray[np.float32]

SHIPPED = ("base", "tiny")
_BLOCK_S = 8.0


class Encoder:
    """A loaded encoder; made by :func:`load_encoder`.

    Attributes:
        name: the model's name.
        sample_rate: samples a second that it hears, 16000.
        dimension: length of an embedding.
        hop_s: time between frames, in seconds.
        lag_s: how much sound after an instant the network hears before it describes that instant, in seconds.
        fingerprint: 16 hexadecimal digits that tell this file from every other.
        card: the model card: data, licenses, recipe, numbers, calibration.
        path: the .onnx file.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, description: dict[str, Any], fingerprint: str, path: Path
    ) -> None:
        self.path = path
        self.name: str = description["name"]
        self.sample_rate: int = description["sample_rate"]
        self.dimension: int = description["dimension"]
        self.hop: int = description["hop"]
        self.lag: int = description["lag"]
        self.parts: int = description["parts"]
        self.card: dict[str, Any] = description["card"]
        self.hop_s = self.hop / self.sample_rate
        self.lag_s = (self.lag + 0.5) * self.hop_s
        self.fingerprint = fingerprint
        self._session = session
        self._memory_names = [i.name for i in session.get_inputs()[1:]]
        empty = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()[1:]}
        # A stream begins in silence, not in the zeros of an untouched network.
        _, self._silence = self.step(np.zeros(2 * self.sample_rate, np.float32), empty)

    @cached_property
    def calibration(self) -> Calibration:
        """Thresholds for rates of false alarms, from the card.

        Raises:
            InputError: the card holds no calibration.
        """
        return Calibration.from_card(self.card, f"encoder {self.name!r}")

    def embed(self, wave: ArrayLike) -> Floats:
        """Embed a wave that holds one word from end to end.

        Args:
            wave: shape (n,), 16 kHz.

        Returns:
            Unit vector, shape (d,).

        Raises:
            AudioError: the wave is empty, not one-dimensional, or not finite.
        """
        frames = self.frames(wave)
        if not len(frames):
            raise AudioError("the wave is empty; nothing can be embedded")
        return self.embed_windows(frames, [len(frames)], len(frames))[0]

    def embed_batch(self, waves: Sequence[ArrayLike]) -> Floats:
        """Embed waves of any lengths: shape (m, d)."""
        return (
            np.stack([self.embed(wave) for wave in waves]) if len(waves) else np.zeros((0, self.dimension), np.float32)
        )

    def frames(self, wave: ArrayLike) -> Floats:
        """Frame vectors of a wave with silence around it.

        Args:
            wave: shape (n,), 16 kHz.

        Returns:
            Shape (⌈n / hop⌉, width); frame i describes the instant (i + 0.5) · ``hop_s``.
        """
        wave = as_wave(wave)
        stream = self.stream()
        frames = np.concatenate([stream.push(wave), stream.finish()])
        return frames[: -(-len(wave) // self.hop)]

    def stream(self) -> "Stream":
        """Begin to listen."""
        return Stream(self)

    def embed_windows(
        self, frames: Floats, stops: Sequence[int] | NDArray[np.integer], length: int | NDArray[np.integer]
    ) -> Floats:
        """Embed many windows over the same frames at the price of their running sums.

        Args:
            frames: shape (t, width), as :meth:`frames` and :meth:`Stream.push` give them.
            stops: for each window, the frame before which it ends, shape (m,).
            length: frames a window, one number for all or one for each, shape (m,); a window that would begin before
                frame 0 begins there.

        Returns:
            Unit vectors, shape (m, d).
        """
        sums = np.zeros((len(frames) + 1, frames.shape[1]))
        np.cumsum(frames, axis=0, out=sums[1:])
        lengths = np.atleast_1d(length)[:, None]
        share = np.round(lengths * np.arange(self.parts + 1) / self.parts).astype(np.int64)
        edges = np.clip(np.asarray(stops)[:, None] - lengths + share, 0, len(frames))
        columns = np.split(sums, self.parts, axis=1)
        total = np.concatenate(
            [column[edges[:, part + 1]] - column[edges[:, part]] for part, column in enumerate(columns)], axis=1
        )
        return unit(total, tiny=1e-9).astype(np.float32)

    def step(self, wave: Floats, memory: dict[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
        """Run the graph on the next samples.

        Args:
            wave: shape (n,), n a multiple of the hop.
            memory: what the network remembers of the samples before.

        Returns:
            Frame vectors, shape (n / hop, width), and what the network remembers now.
        """
        frames, *after = self._session.run(None, {"wave": wave[None], **memory})
        return frames[0], dict(zip(self._memory_names, after, strict=True))

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, dimension={self.dimension}, fingerprint={self.fingerprint!r})"


class Stream:
    """One live stream through an encoder; made by :meth:`Encoder.stream`."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._memory = encoder._silence
        self._rest = np.zeros(0, np.float32)
        # The first frames describe instants before the stream began.
        self._early = encoder.lag

    def push(self, chunk: ArrayLike) -> Floats:
        """Hear the next samples, any number of them, 16 kHz.

        Returns:
            The frames whose sound has been heard completely since the last call, shape (t, width); frame i of the
            stream describes the instant (i + 0.5) · ``hop_s`` and comes ``lag_s`` after it.
        """
        chunk = as_wave(chunk) if np.size(chunk) else np.zeros(0, np.float32)
        wave = np.concatenate([self._rest, chunk])
        whole = len(wave) - len(wave) % self._encoder.hop
        self._rest = wave[whole:]
        return self._run(wave[:whole])

    def finish(self) -> Floats:
        """The frames that are still due, as if silence followed."""
        missing = -len(self._rest) % self._encoder.hop + self._encoder.lag * self._encoder.hop
        return self.push(np.zeros(missing, np.float32)) if missing else self._run(np.zeros(0, np.float32))

    def _run(self, wave: Floats) -> Floats:
        block = round(_BLOCK_S * self._encoder.sample_rate / self._encoder.hop) * self._encoder.hop
        heard = []
        for start in range(0, len(wave), block):
            frames, self._memory = self._encoder.step(wave[start : start + block], self._memory)
            heard.append(frames)
        if not heard:
            return np.zeros((0, self._encoder.dimension), np.float32)
        frames = np.concatenate(heard)
        late = frames[self._early :]
        self._early = max(0, self._early - len(frames))
        return late


def load_encoder(source: str | Path | None = None) -> Encoder:
    """Load a shipped encoder or one of your own.

    Args:
        source: ``"base"`` (the default: the most accurate), ``"tiny"`` (the cheapest), or the path of an .onnx file
            that ``earmark export`` wrote.

    Raises:
        EncoderError: no such file, or not an encoder of streams of ours.
    """
    name = str(source or "base")
    path = shipped_file(name) if name in SHIPPED else Path(name)
    session, description, fingerprint = open_model(path, "stream", SHIPPED)
    try:
        return Encoder(session, description, fingerprint, path)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
