"""The lexicon: common words, each spoken once, to compare a keyword with."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.core.progress import Progress, no_progress
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.frame_cache import cached_frames
from earmark.spotting.keyword import Keyword
from earmark.spotting.scoring import score_frames, word_score

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """A recording of words, one after another.

    Attributes:
        words: n of them.
        spans_s: start and end of each word in seconds.
        frames: of the recording, shape (t, width).
    """

    words: tuple[str, ...]
    spans_s: tuple[tuple[float, float], ...]
    frames: NDArray[np.floating]


def load_lexicon(encoder: Encoder, *, progress: Progress = no_progress) -> Lexicon:
    """Load the lexicon that ships; its frames are computed once for each encoder, and kept in the user's cache folder.

    Args:
        encoder: computes the frames, in some seconds.
        progress: called with seconds of audio.
    """
    folder = files("earmark.models")
    rows = [row.split("\t") for row in (folder / "lexicon.tsv").read_text(encoding="utf-8").splitlines()]
    with as_file(folder / "lexicon.opus") as path:
        frames = cached_frames(path, encoder, "lexicon", progress=progress)
    spans_s = tuple((float(start_s), float(end_s)) for start_s, end_s, _ in rows)
    return Lexicon(tuple(word for _, _, word in rows), spans_s, frames)


def word_scores(keyword: Keyword, encoder: Encoder, lexicon: Lexicon) -> Floats:
    """The score of a keyword in each word of the lexicon, shape (n,)."""
    curve = score_frames(keyword, encoder, lexicon.frames, DetectorSettings())
    return np.array([word_score(curve, *span_s, encoder.hop_s) for span_s in lexicon.spans_s], np.float32)
