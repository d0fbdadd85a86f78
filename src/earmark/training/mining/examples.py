"""Examples of mined pairs for listening, in descending order of similarity."""

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
from earmark.training.mining.segment_table import SegmentTable

Floats = NDArray[np.floating]

EXAMPLES = 10
_PAUSE_S = 0.4
_MARGIN_S = 0.02


@dataclass(frozen=True)
class Example:
    """An example for listening: a segment and its nearest neighbor.

    Attributes:
        pair: both segments and their similarity.
        labels: labels of both segments; empty if unknown.
        is_kept: whether the similarity reaches the threshold.
    """

    pair: SegmentPair
    labels: tuple[str, str]
    is_kept: bool

    def document(self) -> dict[str, Any]:
        """Convert the example to a JSON object for `results.json`."""
        pair = self.pair
        return {
            "similarity": pair.similarity,
            "kept": self.is_kept,
            "first": asdict(pair.first),
            "second": asdict(pair.second),
            "labels": self.labels,
        }


def choose_examples(neighbors: Neighbors, table: SegmentTable, best: Floats, threshold: float) -> list[Example]:
    """Choose examples of segments with their nearest neighbors, whose similarities are evenly spaced.

    The similarities range from the highest of all segments down to their first percentile.

    Args:
        neighbors: neighbors of all segments.
        table: the segments.
        best: similarity of each segment's nearest neighbor, shape (n,); -inf for segments without neighbors.
        threshold: minimum similarity of a pair.
    """
    known = np.flatnonzero(np.isfinite(best))
    known = known[np.argsort(-best[known], kind="stable")]
    falling = -best[known].astype(np.float64)
    lowest = falling[min(len(known) - 1, int(0.99 * len(known)))]
    wanted = np.searchsorted(falling, np.linspace(falling[0], lowest, EXAMPLES))
    found, seen = [], set[tuple[int, int]]()
    for place in wanted:
        query = int(known[min(place, len(known) - 1)])
        # The nearest mutual neighbor need not be in the first column, so it is found by its similarity.
        column = int(np.argmin(np.abs(np.asarray(neighbors.similarities[query]) - best[query])))
        other = int(neighbors.rows[query, column])
        if (min(query, other), max(query, other)) in seen:
            continue
        seen.add((min(query, other), max(query, other)))
        pair = SegmentPair(table.span(query), table.span(other), float(best[query]))
        labels = (table.label(query), table.label(other))
        found.append(Example(pair, labels, bool(best[query] >= threshold)))
    return found


def write_snippets(examples: Sequence[Example], recordings: AudioFolder, folder: Path) -> list[Path]:
    """Write each example as an audio file with the first segment, a pause, and the second segment; return the paths.

    Args:
        examples: the examples.
        recordings: folder of the recordings.
        folder: folder for the files `NUMBER-SIMILARITY.wav`; it is created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9]-*.wav"):
        old.unlink()
    pause = np.zeros(round(_PAUSE_S * SAMPLE_RATE), np.float32)
    paths = []
    for number, example in enumerate(examples, 1):
        path = folder / f"{number:02}-{example.pair.similarity:.2f}.wav"
        first, second = (_read_normalized(span, recordings) for span in (example.pair.first, example.pair.second))
        audio.write(path, np.concatenate([first, pause, second]))
        paths.append(path)
    return paths


def _read_normalized(span: Span, recordings: AudioFolder) -> Wave:
    """Read the audio of a segment with a short margin before and after it, and scale its peak to 0.5."""
    start, stop = (round(time_s * SAMPLE_RATE) for time_s in (span.start_s - _MARGIN_S, span.end_s + _MARGIN_S))
    first, pieces = 0, []
    for block in audio.blocks(recordings.locate(span.path), block_s=8.0):
        pieces.append(block[max(0, start - first) : max(0, stop - first)])
        first += len(block)
        if first >= stop:
            break
    wave = np.concatenate(pieces)
    return wave * np.float32(0.5 / max(1e-3, float(np.abs(wave).max(initial=0))))
