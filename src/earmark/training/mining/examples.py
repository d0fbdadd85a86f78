"""Neighbors to listen to, from the most similar down to the least."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.segment_pairs import SegmentPair
from earmark.data.lists.spans import Span
from earmark.training.mining.neighbors import Neighbors
from earmark.training.mining.segment_table import Places

Floats = NDArray[np.floating]

EXAMPLES = 10
_PAUSE_S = 0.4
_AROUND_S = 0.02


@dataclass(frozen=True)
class Example:
    """A segment and its nearest neighbor.

    Attributes:
        pair: both, and how similar they are.
        labels: what is said in them; empty when unknown.
        is_kept: whether they are so similar that they make a pair.
    """

    pair: SegmentPair
    labels: tuple[str, str]
    is_kept: bool

    def document(self) -> dict[str, Any]:
        """For results.json."""
        pair = self.pair
        return {
            "similarity": pair.similarity,
            "kept": self.is_kept,
            "first": asdict(pair.first),
            "second": asdict(pair.second),
            "labels": self.labels,
        }


def choose_examples(neighbors: Neighbors, places: Places, best: Floats, threshold: float) -> list[Example]:
    """Segments with their nearest neighbor, at even steps of similarity.

    From the highest similarity to that which 1 in 100 segments do not reach.

    Args:
        neighbors: of all segments.
        places: of them.
        best: similarity of each segment's nearest neighbor, shape (n,); -inf where it has none.
        threshold: from which on they make a pair.
    """
    known = np.flatnonzero(np.isfinite(best))
    known = known[np.argsort(-best[known], kind="stable")]
    falling = -best[known].astype(np.float64)
    lowest = falling[min(len(known) - 1, int(0.99 * len(known)))]
    wanted = np.searchsorted(falling, np.linspace(falling[0], lowest, EXAMPLES))
    found, seen = [], set[tuple[int, int]]()
    for place in wanted:
        query = int(known[min(place, len(known) - 1)])
        # Where only mutual neighbors count, the nearest is the first of those; its similarity says which.
        column = int(np.argmin(np.abs(np.asarray(neighbors.similarities[query]) - best[query])))
        other = int(neighbors.rows[query, column])
        if (min(query, other), max(query, other)) in seen:
            continue
        seen.add((min(query, other), max(query, other)))
        pair = SegmentPair(places.span(query), places.span(other), float(best[query]))
        labels = (places.label(query), places.label(other))
        found.append(Example(pair, labels, bool(best[query] >= threshold)))
    return found


def write_snippets(examples: Sequence[Example], recordings: AudioFolder, folder: Path) -> list[Path]:
    """Write each example as sound: the one segment, a pause, the other.

    Args:
        examples: to be heard.
        recordings: where they lie.
        folder: for the files, `NUMBER-SIMILARITY.wav`; made where there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9]-*.wav"):
        old.unlink()
    pause = np.zeros(round(_PAUSE_S * SAMPLE_RATE), np.float32)
    paths = []
    for number, example in enumerate(examples, 1):
        path = folder / f"{number:02}-{example.pair.similarity:.2f}.wav"
        sound = [_sound(span, recordings) for span in (example.pair.first, example.pair.second)]
        audio.write(path, np.concatenate([sound[0], pause, sound[1]]))
        paths.append(path)
    return paths


def _sound(span: Span, recordings: AudioFolder) -> Wave:
    """A segment, a little wide, made equally loud."""
    start, stop = (round(time_s * SAMPLE_RATE) for time_s in (span.start_s - _AROUND_S, span.end_s + _AROUND_S))
    first, held = 0, []
    for block in audio.blocks(recordings.locate(span.path), block_s=8.0):
        held.append(block[max(0, start - first) : max(0, stop - first)])
        first += len(block)
        if first >= stop:
            break
    wave = np.concatenate(held)
    return wave * np.float32(0.5 / max(1e-3, float(np.abs(wave).max(initial=0))))
