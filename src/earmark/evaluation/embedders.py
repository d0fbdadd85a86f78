"""Embedders: one interface for the evaluation of shipped encoders, exported encoders and checkpoints in training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.audio import Wave
from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.evaluation.protocols.trials import TrialClip

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder

Floats = NDArray[np.floating]
Embed = Callable[[Wave], Floats]
EmbedBatch = Callable[[Sequence[Wave]], Floats]
Read = Callable[[Path], Wave]

BATCH_CLIPS = 256


class Embedder(Protocol):
    """Maps waveforms to embeddings, and embeddings to class logits if it was trained as a classifier."""

    @property
    def name(self) -> str:
        """Name of the encoder, for titles and file names."""

    @property
    def fingerprint(self) -> str:
        """A text that identifies the weights of the encoder."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Training labels in the order of `classify`'s columns; empty without a classifier."""

    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Embeddings of m waveforms at 16 kHz, shape (m, d)."""

    def classify(self, embeddings: Floats) -> Floats | None:
        """Class logits of embeddings, shape (m, d) to (m, classes); None without a classifier."""


@dataclass(frozen=True)
class _ExportedEmbedder:
    """Base class of the embedders that run an .onnx file, which has no classifier."""

    encoder: "Encoder | SpeakerEncoder"

    @property
    def name(self) -> str:
        """Name of the encoder."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder's file."""
        return self.encoder.fingerprint

    @property
    def classes(self) -> tuple[str, ...]:
        """Empty: an .onnx file has no classifier."""
        return ()

    def classify(self, embeddings: Floats) -> Floats | None:
        """None: an .onnx file has no classifier."""
        del embeddings
        return None


@dataclass(frozen=True)
class EncoderEmbedder(_ExportedEmbedder):
    """A shipped or exported encoder of words as an `Embedder`.

    Attributes:
        encoder: runs the .onnx file.
        spoken: embed only the spoken part of a clip, with the audio around it as context.
    """

    encoder: "Encoder"
    spoken: bool = True

    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Embeddings of m waveforms, scaled to unit length, shape (m, d)."""
        if not self.spoken:
            return self.encoder.embed_batch(waves)
        embed = embed_speech(self.encoder)
        return np.stack([embed(wave) for wave in waves])


@dataclass(frozen=True)
class SpeakerEmbedder(_ExportedEmbedder):
    """A shipped or exported encoder of speakers as an `Embedder`.

    Attributes:
        encoder: runs the .onnx file.
        spoken: cut out pauses, as speaker enrollment does; a recording without speech is embedded whole.
    """

    encoder: "SpeakerEncoder"
    spoken: bool = True

    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Embeddings of m waveforms, scaled to unit length, shape (m, d)."""
        from earmark.spotting.speaker import spoken

        parts = [spoken(wave) if self.spoken else wave for wave in waves]
        return self.encoder.embed_batch([part if len(part) else wave for part, wave in zip(parts, waves, strict=True)])


def embed_speech(encoder: "Encoder") -> Embed:
    """Make a function that embeds the spoken part of a waveform with its context, or the whole one without speech."""
    from earmark.spotting.keyword import embed_part
    from earmark.spotting.speech import find_speech

    def embed(wave: Wave) -> Floats:
        found = find_speech(wave)
        return encoder.embed(wave) if found is None else embed_part(encoder, wave, *found)

    return embed


def embed_clips(
    paths: Iterable[str],
    folder: Path,
    embed_batch: EmbedBatch,
    *,
    batch_clips: int = BATCH_CLIPS,
    progress: Progress = no_progress,
    read: Read = audio.read,
) -> dict[str, Floats]:
    """Embed recordings, each of them once.

    Args:
        paths: relative to `folder`; duplicates are embedded once.
        folder: folder of the corpus.
        embed_batch: embeds waveforms, shape (m, d).
        batch_clips: maximum number of recordings in a batch.
        progress: called after each batch.
        read: returns the waveform of a file.

    Returns:
        Embeddings, shape (d,), by path.

    Raises:
        InputError: a recording cannot be read, or its embedding is not finite.
    """
    paths = list(dict.fromkeys(paths))
    vectors: dict[str, Floats] = {}
    for start in range(0, len(paths), batch_clips):
        batch = paths[start : start + batch_clips]
        rows = embedded_batch(embed_batch, [read(folder / path) for path in batch])
        for path, row in zip(batch, rows, strict=True):
            if not np.isfinite(row).all():
                raise InputError(f"{folder / path}: the embedding of this recording is not finite; check the encoder")
            vectors[path] = row
        progress("embedding clips", len(vectors), len(paths))
    return vectors


def embedded_batch(embed_batch: EmbedBatch, waves: Sequence[Wave]) -> Floats:
    """Embed waveforms by calling `embed_batch`, and check that it returns one row per waveform.

    Raises:
        InputError: the embedder returns another shape.
    """
    rows = np.asarray(embed_batch(waves))
    if rows.ndim != 2 or len(rows) != len(waves):
        raise InputError(
            f"{len(waves)} waves gave embeddings of shape {rows.shape}; expected ({len(waves)}, d); check the encoder"
        )
    return rows


def stacked(clips: Iterable[TrialClip], vectors: Mapping[str, Floats]) -> Floats:
    """Stack the embeddings of n clips, which `vectors` has by path, into an array of shape (n, d).

    Raises:
        InputError: a clip has no embedding.
    """
    try:
        return np.stack([vectors[clip.path] for clip in clips])
    except KeyError as error:
        raise InputError(f"{error.args[0]}: this clip has no embedding; embed every path of the lists") from None
