"""An encoder computes frame vectors of audio. The embedding of a window is the sum of its frames, scaled to length 1.

One ONNX file contains the model card and the graph, which maps the next samples and the stream state to frame vectors
and the next stream state. Files and live streams use the same graph, so that their results agree.
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
from earmark.models.onnx_model import (
    FORMAT,
    METADATA_KEY,
    EncoderError,
    damaged,
    open_model,
    shipped_file,
    shipped_name,
)

__all__ = ["FORMAT", "METADATA_KEY", "SHIPPED", "Encoder", "EncoderError", "Stream", "load_encoder", "shipped_encoder"]

Floats = NDArray[np.float32]

SHIPPED = ("base",)
_BLOCK_S = 8.0


class Encoder:
    """An encoder of words, loaded from an .onnx file by `load_encoder`.

    Attributes:
        name: the model's name.
        sample_rate: in Hz, 16000.
        dimension: length of an embedding.
        hop_s: time between frames, in seconds.
        lag_s: look-ahead in seconds: a frame depends on this much audio after its instant.
        hop: samples between frames.
        lag: look-ahead in whole frames.
        parts: equal parts of a window that are summed separately, to keep the order of sounds.
        fingerprint: 16 hexadecimal digits that identify the file.
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
        self._state_names = [i.name for i in session.get_inputs()[1:]]
        empty = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()[1:]}
        # A stream begins after silence, not with a state of zeros.
        _, self._silence = self.step(np.zeros(2 * self.sample_rate, np.float32), empty)

    @cached_property
    def calibration(self) -> Calibration:
        """The calibration in the model card, which converts a rate of false alarms to a threshold.

        Raises:
            InputError: the card holds no calibration.
        """
        return Calibration.from_card(self.card, f"encoder {self.name!r}")

    def embed(self, wave: ArrayLike) -> Floats:
        """Embed a whole wave as one window, such as a word without silence around it.

        Args:
            wave: shape (n,), 16 kHz.

        Returns:
            Unit vector, shape (d,).

        Raises:
            AudioError: the wave is empty, not one-dimensional, or not finite.
        """
        frames = self.frames(wave)
        if not len(frames):
            raise AudioError("the wave is empty; give it at least one sample")
        return self.embed_windows(frames, [len(frames)], len(frames))[0]

    def embed_batch(self, waves: Sequence[ArrayLike]) -> Floats:
        """Embed waves of any lengths, each as `embed` does; returns unit vectors, shape (m, d)."""
        return (
            np.stack([self.embed(wave) for wave in waves]) if len(waves) else np.zeros((0, self.dimension), np.float32)
        )

    def frames(self, wave: ArrayLike) -> Floats:
        """Compute the frame vectors of a wave, as if silence came before and after it.

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
        """Start a live stream, whose method `push` takes audio chunk by chunk and returns frame vectors."""
        return Stream(self)

    def embed_windows(
        self, frames: Floats, stops: Sequence[int] | NDArray[np.integer], length: int | NDArray[np.integer]
    ) -> Floats:
        """Embed many windows of the same frames; running sums make each window cheap.

        Args:
            frames: shape (t, width), from `frames` or `Stream.push`.
            stops: number of the frame after the last one of each window, shape (m,).
            length: frames per window: one number for all windows or one for each, shape (m,). Windows are cut at
                frame 0.

        Returns:
            Unit vectors, shape (m, d).
        """
        sums = np.zeros((len(frames) + 1, frames.shape[1]))
        np.cumsum(frames, axis=0, out=sums[1:])
        lengths = np.atleast_1d(length)[:, None]
        share = _border(lengths, np.arange(self.parts + 1), self.parts)
        edges = np.clip(np.asarray(stops)[:, None] - lengths + share, 0, len(frames))
        columns = np.split(sums, self.parts, axis=1)
        total = np.concatenate(
            [column[edges[:, part + 1]] - column[edges[:, part]] for part, column in enumerate(columns)], axis=1
        )
        return unit(total, tiny=1e-9).astype(np.float32)

    def compare_windows(
        self, frames: Floats, starts: NDArray[np.integer], stops: NDArray[np.integer], references: NDArray[np.floating]
    ) -> Floats:
        """Compare windows of the same frames, each with a reference of its own.

        The cost hardly depends on the number of windows: it is two products of the running sums of the frames, one
        with the references and one with themselves. Memory grows with t², so give long audio in blocks.

        Args:
            frames: shape (t, width), from `frames` or `Stream.push`.
            starts: first frame of each window, shape (k, m, n). Windows are cut at frame 0.
            stops: frame after the last one of each window, shape (k, m, n).
            references: unit vectors, shape (k, d, n): windows [i, :, j] are compared with the vector [i, :, j].

        Returns:
            Cosine similarities of the embeddings of the windows, shape (k, m, n).
        """
        sums = np.zeros((len(frames) + 1, frames.shape[1]))
        np.cumsum(frames, axis=0, out=sums[1:])
        which, column = np.arange(len(starts))[:, None, None], np.arange(starts.shape[2])
        sizes, product, square = stops - starts, np.zeros(starts.shape), np.full(starts.shape, 1e-12)
        width = frames.shape[1] // self.parts
        for part in range(self.parts):
            own = slice(part * width, (part + 1) * width)
            first = np.maximum(starts + _border(sizes, part, self.parts), 0)
            last = np.maximum(starts + _border(sizes, part + 1, self.parts), 0)
            projected = sums[:, own] @ references[:, own]
            product += projected[which, last, column] - projected[which, first, column]
            gram = sums[:, own] @ sums[:, own].T
            power = gram.diagonal()
            square += power[first] + power[last] - 2 * gram[first, last]
        return (product / np.sqrt(square)).astype(np.float32)

    def step(self, wave: Floats, state: dict[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
        """Run the graph of the encoder on the next samples of a stream.

        Args:
            wave: shape (n,), n a multiple of the hop.
            state: the stream state that the previous step returned.

        Returns:
            Frame vectors, shape (n / hop, width), and the next stream state.
        """
        frames, *after = self._session.run(None, {"wave": wave[None], **state})
        return frames[0], dict(zip(self._state_names, after, strict=True))

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, dimension={self.dimension}, fingerprint={self.fingerprint!r})"


def _border(lengths: NDArray[np.integer], part: int | NDArray[np.integer], parts: int) -> NDArray[np.int64]:
    """Frames from the start of windows to the start of one of their equal parts."""
    return np.round(lengths * part / parts).astype(np.int64)


class Stream:
    """A live stream of audio, which an encoder converts to frame vectors; `Encoder.stream` makes it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._state = encoder._silence
        self._rest = np.zeros(0, np.float32)
        # The first frames describe instants before the stream began.
        self._early = encoder.lag

    def push(self, chunk: ArrayLike) -> Floats:
        """Process the next samples of the stream: any number of them, 16 kHz.

        Returns:
            The frames that are complete now, shape (t, width); frame i of the stream describes the instant
            (i + 0.5) · ``hop_s`` and is complete ``lag_s`` after it.
        """
        chunk = as_wave(chunk) if np.size(chunk) else np.zeros(0, np.float32)
        wave = np.concatenate([self._rest, chunk])
        whole = len(wave) - len(wave) % self._encoder.hop
        self._rest = wave[whole:]
        return self._run(wave[:whole])

    def finish(self) -> Floats:
        """End the stream as if silence followed, and return the remaining frames, shape (t, width)."""
        missing = -len(self._rest) % self._encoder.hop + self._encoder.lag * self._encoder.hop
        return self.push(np.zeros(missing, np.float32)) if missing else self._run(np.zeros(0, np.float32))

    def _run(self, wave: Floats) -> Floats:
        block = round(_BLOCK_S * self._encoder.sample_rate / self._encoder.hop) * self._encoder.hop
        done = []
        for start in range(0, len(wave), block):
            frames, self._state = self._encoder.step(wave[start : start + block], self._state)
            done.append(frames)
        if not done:
            return np.zeros((0, self._encoder.dimension), np.float32)
        frames = np.concatenate(done)
        late = frames[self._early :]
        self._early = max(0, self._early - len(frames))
        return late


def shipped_encoder(fingerprint: str) -> str | None:
    """Return the name of the shipped encoder of words with this fingerprint; None for any other encoder."""
    name = shipped_name(fingerprint)
    return name if name in SHIPPED else None


def load_encoder(source: str | Path | None = None) -> Encoder:
    """Load an encoder of words: a shipped one, or your own .onnx file.

    Args:
        source: ``"base"`` (the default), or the path of an .onnx file that ``earmark export`` wrote.

    Raises:
        EncoderError: the file is missing, or not an encoder of words of earmark.
    """
    name = str(source or "base")
    path = shipped_file(name) if name in SHIPPED else Path(name)
    session, description, fingerprint = open_model(path, "stream", SHIPPED)
    try:
        return Encoder(session, description, fingerprint, path)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
