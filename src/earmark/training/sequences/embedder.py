"""Embedder that evaluation and mining make from a checkpoint of a sequence recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.evaluation.segment_embeddings import Times, bounds_of
from earmark.spotting.speech import find_speech
from earmark.training.sequences.frames import ContextSettings, FrameSource, hop_s, section_frames
from earmark.training.sequences.networks import Cut, Network, embed_cuts

Floats = NDArray[np.float32]

_AT_ONCE = 256
_ROUNDING = 1e-6


@dataclass(frozen=True)
class SequenceEmbedder:
    """Embeds segments of recordings, whose frames are computed once for the whole recording.

    Attributes:
        name: name of the recipe.
        checkpoint: SHA-256 of the checkpoint.
        network: embeds the frames of a segment.
        source: computes the frames.
        context: context and chunk length.
        classes: always empty.
        spoken: embed only the spoken part of a recording if no times are given.
    """

    name: str
    checkpoint: str
    network: Network = field(repr=False)
    source: FrameSource = field(repr=False)
    context: ContextSettings = field(repr=False)
    classes: tuple[str, ...] = ()
    spoken: bool = True

    @property
    def fingerprint(self) -> str:
        """Text that identifies the checkpoint and the value of `spoken`."""
        return self.checkpoint + ("-spoken" if self.spoken else "")

    def embed_file(self, path: Path, spans: Sequence[Times]) -> Floats:
        """Compute embeddings of spans of a recording, shape (m, d), not of unit length.

        Args:
            path: the recording.
            spans: start and end of each span in seconds; (0, None) is the whole recording.

        Raises:
            InputError: a span is outside the recording, or shorter than a frame.
        """
        wave = audio.read(path)
        if self.spoken and any(span == (0, None) for span in spans):
            part = find_speech(wave)
            spans = [part or span if span == (0, None) else span for span in spans]
        return self._embed([(wave, bounds_of(path, spans, len(wave)))])

    def embed_batch(self, waves: Sequence[Wave]) -> Floats:
        """Compute one embedding for each whole wave, shape (m, d), not of unit length."""
        return self._embed([(wave, np.array([[0.0, len(wave) / SAMPLE_RATE]])) for wave in waves])

    def classify(self, embeddings: Floats) -> Floats | None:
        """Return None, because an encoder of a sequence recipe has no classes."""
        del embeddings
        return None

    def _embed(self, parts: Sequence[tuple[Wave, NDArray[np.floating]]]) -> Floats:
        cuts = [cut for wave, bounds in parts for cut in self._cuts(wave, bounds)]
        if not cuts:
            return np.empty((0, self.network.settings.dimension), np.float32)
        # Segments are sorted by length, so that batches need little padding.
        order = np.argsort([cut.stop - cut.first for cut in cuts], kind="stable")
        made = np.empty((len(cuts), self.network.settings.dimension), np.float32)
        with torch.inference_mode():
            for first in range(0, len(cuts), _AT_ONCE):
                some = order[first : first + _AT_ONCE]
                made[some] = embed_cuts(self.network, [cuts[row] for row in some], torch.device("cpu")).numpy()
        return made

    def _cuts(self, wave: Wave, bounds: NDArray[np.floating]) -> list[Cut]:
        frames, first_s = section_frames(self.source, wave, 0.0, len(wave) / SAMPLE_RATE, self.context)
        places = (bounds - first_s) / hop_s(self.source)
        begins = np.ceil(places[:, 0] - _ROUNDING).astype(int).clip(0, max(0, len(frames) - 1))
        stops = (np.floor(places[:, 1] + _ROUNDING).astype(int) + 1).clip(begins + 1, max(1, len(frames)))
        return [Cut(frames, int(begin), int(stop)) for begin, stop in zip(begins, stops, strict=True)]
