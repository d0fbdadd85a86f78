"""From recordings to vectors: whatever embeds waves, shipped encoder or checkpoint in training, is judged alike."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.audio import Wave
from earmark.core.errors import InputError
from earmark.evaluation.protocols.trials import TrialClip

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder

Floats = NDArray[np.floating]
Embed = Callable[[Wave], Floats]
EmbedBatch = Callable[[Sequence[Wave]], Floats]
Read = Callable[[Path], Wave]
Progress = Callable[[int, int], object]
"""Called with the number of clips done and the number of clips in all."""

CLIPS_AT_ONCE = 256


class Embedder(Protocol):
    """What is judged: waves in, vectors out; and, where it was trained as a classifier, its classes."""

    @property
    def name(self) -> str:
        """For titles and file names."""

    @property
    def fingerprint(self) -> str:
        """Tells its weights from all others."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels that it was trained to tell, in the order of `classify`'s columns; empty for none."""

    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Waves at 16 kHz to vectors, shape (m, d)."""

    def classify(self, embeddings: Floats) -> Floats | None:
        """Vectors, shape (m, d), to a logit a class, shape (m, classes); None without classes."""


@dataclass(frozen=True)
class _FromFile:
    """What encoders out of .onnx files are alike in."""

    encoder: "Encoder | SpeakerEncoder"

    @property
    def name(self) -> str:
        """Of the encoder."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """Of its file."""
        return self.encoder.fingerprint

    @property
    def classes(self) -> tuple[str, ...]:
        """None: the head of the training is not exported."""
        return ()

    def classify(self, embeddings: Floats) -> Floats | None:
        """None."""
        del embeddings
        return None


@dataclass(frozen=True)
class EncoderEmbedder(_FromFile):
    """A shipped or exported encoder as an `Embedder`.

    Attributes:
        encoder: runs the .onnx file.
        spoken: only the spoken part of a clip is embedded, heard with what is around it.
    """

    encoder: "Encoder"
    spoken: bool = True

    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Unit vectors, shape (m, d)."""
        if not self.spoken:
            return self.encoder.embed_batch(waves)
        embed = embed_speech(self.encoder)
        return np.stack([embed(wave) for wave in waves])


@dataclass(frozen=True)
class SpeakerEmbedder(_FromFile):
    """A shipped or exported encoder of speakers as an `Embedder`.

    Attributes:
        encoder: runs the .onnx file.
        spoken: pauses are cut out, as where speakers are enrolled; a recording in which nobody speaks is heard whole.
    """

    encoder: "SpeakerEncoder"
    spoken: bool = True

    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Unit vectors, shape (m, d)."""
        from earmark.spotting.speaker import spoken

        heard = [spoken(wave) if self.spoken else wave for wave in waves]
        return self.encoder.embed_batch([part if len(part) else wave for part, wave in zip(heard, waves, strict=True)])


def embed_speech(encoder: "Encoder") -> Embed:
    """An `Embed` of a clip's spoken part, heard with what is around it; of a clip without speech, the whole."""
    from earmark.spotting.keyword import embed_part
    from earmark.spotting.speech import find_speech

    def embed(wave: Wave) -> Floats:
        found = find_speech(wave)
        return encoder.embed(wave) if found is None else embed_part(encoder, wave, *found)

    return embed


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
    del done, total


def embed_clips(
    paths: Iterable[str],
    folder: Path,
    embed_batch: EmbedBatch,
    *,
    at_once: int = CLIPS_AT_ONCE,
    progress: Progress = silent,
    read: Read = audio.read,
) -> dict[str, Floats]:
    """Embed each recording once.

    Args:
        paths: relative to `folder`; one that stands twice is embedded once.
        folder: of the corpus.
        embed_batch: waves to vectors, shape (m, d).
        at_once: recordings held and embedded together, at most.
        progress: told after each batch.
        read: gives the wave of a file.

    Returns:
        Vectors, shape (d,), by path.

    Raises:
        InputError: a recording that cannot be read, or whose vector is not finite.
    """
    paths = list(dict.fromkeys(paths))
    vectors: dict[str, Floats] = {}
    for start in range(0, len(paths), at_once):
        batch = paths[start : start + at_once]
        rows = np.asarray(embed_batch([read(folder / path) for path in batch]))
        if rows.ndim != 2 or len(rows) != len(batch):
            raise InputError(f"{len(batch)} waves gave embeddings of shape {rows.shape}; expected ({len(batch)}, d)")
        for path, row in zip(batch, rows, strict=True):
            if not np.isfinite(row).all():
                raise InputError(f"{folder / path}: its embedding is not finite; check the encoder")
            vectors[path] = row
        progress(len(vectors), len(paths))
    return vectors


def stacked(clips: Iterable[TrialClip], vectors: Mapping[str, Floats]) -> Floats:
    """The vectors of clips, shape (n, d).

    Raises:
        InputError: a clip without a vector.
    """
    try:
        return np.stack([vectors[clip.path] for clip in clips])
    except KeyError as error:
        raise InputError(f"{error.args[0]}: no vector of this clip; embed every path that the lists name") from None
