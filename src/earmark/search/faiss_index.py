"""Find windows near a query by FAISS: approximately, in inverted lists of product-quantized embeddings.

FAISS only proposes candidates; `earmark.search.searching` scores the frames around them exactly. The neighbor index of
a segment is made from the frames of that segment alone, and can be made again without the audio.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import needs
from earmark.core.files import write_bytes
from earmark.search.contents import EncoderEntry, damaged
from earmark.search.segments import NEIGHBORS, IndexSegment
from earmark.search.settings import IndexSettings
from earmark.search.windows import Floats, embed_windows

Ints = NDArray[np.int64]

_CHUNK_FRAMES = 16_384  # frames whose windows are embedded at a time
_SAMPLES_PER_LIST = 64  # windows to learn an inverted list from
_FEWEST_LISTS, _MOST_LISTS = 16, 16_384


def faiss() -> Any:
    """Import the package `faiss` at its first use, and return it.

    Raises:
        InputError: it is not installed.
    """
    with needs("search"):
        import faiss as package
    return package


def search_lists(index: Any, queries: Floats, count: int, probes: int, among: Any = None) -> tuple[Floats, Ints]:
    """Find approximate nearest neighbors of queries in an index of inverted lists.

    Args:
        index: a FAISS index of inverted lists.
        queries: shape (b, width).
        count: neighbors per query.
        probes: inverted lists to search.
        among: FAISS selector of the vectors to search; None for all. The caller keeps its arrays alive, because FAISS
            does not.

    Returns:
        Similarities, and keys of the neighbors (-1 where there are too few), both of shape (b, count).
    """
    parameters = faiss().SearchParametersIVF(nprobe=min(probes, index.nlist), sel=among)
    # faiss.contrib.torch_utils, once imported, replaces `search` by a function without `params`.
    search = getattr(index, "search_numpy", index.search)
    return search(queries, count, params=parameters)


def learn_codebook(
    segments: Sequence[IndexSegment], encoder: EncoderEntry, settings: IndexSettings, *, seed: int = 0
) -> bytes:
    """Learn the codebook of FAISS, inverted lists and product quantization, from a sample of windows.

    Args:
        segments: all segments of the index.
        encoder: entry of the encoder that made the frames.
        settings: lengths and hop of windows, bytes per code.
        seed: seed of the random sample.

    Returns:
        An empty index, serialized by FAISS.
    """
    package = faiss()
    frames = sum(segment.kept_frames for segment in segments)
    windows = max(1, frames * len(lengths_in_frames(settings, encoder.hop_s)) // settings.window_hop)
    # Few long lists: searching a list is cheap compared with finding the list of each window that is added.
    lists = int(np.clip(2 ** round(np.log2(np.sqrt(windows) / 4)), _FEWEST_LISTS, _MOST_LISTS))
    share = min(1.0, 1.1 * max(_SAMPLES_PER_LIST * lists, 256 * _SAMPLES_PER_LIST) / windows)
    rng = np.random.default_rng(seed)
    sample = np.concatenate(
        [
            vectors[rng.random(len(vectors)) < share]
            for segment in segments
            for _, vectors in _windows(segment, encoder, settings, share, rng)
        ]
    )
    lists = max(1, min(lists, len(sample) // 4))
    width = sample.shape[1]
    quantizer = package.IndexFlatIP(width)
    bits = 8 if len(sample) >= 1024 else 4
    code_bytes = _divisor(settings.code_bytes, width)
    index = package.IndexIVFPQ(quantizer, width, lists, code_bytes, bits, package.METRIC_INNER_PRODUCT)
    index.cp.spherical, index.cp.niter, index.cp.min_points_per_centroid = True, 12, 1
    index.pq.cp.niter, index.pq.cp.min_points_per_centroid = 12, 1
    index.train(sample)
    return bytes(package.serialize_index(index))


def write_neighbors(segment: IndexSegment, codebook: bytes, encoder: EncoderEntry, settings: IndexSettings) -> None:
    """Write the neighbor index of a segment into its folder.

    Args:
        segment: the segment. The key of a window encodes the row after its last frame, and its length.
        codebook: from `learn_codebook`.
        encoder: entry of the encoder that made the frames.
        settings: lengths and hop of windows.
    """
    package = faiss()
    index = package.deserialize_index(np.frombuffer(codebook, np.uint8))
    for keys, vectors in _windows(segment, encoder, settings):
        index.add_with_ids(vectors, keys)
    write_bytes(segment.folder / NEIGHBORS, memoryview(package.serialize_index(index)))


class NeighborIndex:
    """The FAISS index of the windows of a segment, opened for search; its inverted lists are memory-mapped.

    Args:
        folder: folder of the segment.
        lengths: from `lengths_in_frames`.
    """

    def __init__(self, folder: Path, lengths: Sequence[int]) -> None:
        package = faiss()
        path = folder / NEIGHBORS
        try:
            self._index = package.read_index(str(path), package.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise damaged(path, str(error).splitlines()[0][:200]) from None
        self._lengths = np.array(lengths)

    def search(self, vector: Floats, count: int, probes: int) -> tuple[Ints, Ints]:
        """Find the windows that are nearest to a vector, approximately.

        Args:
            vector: unit length, shape (width,).
            count: number of windows.
            probes: inverted lists to search.

        Returns:
            Row after the last frame of each window, shape (m,), and its length, shape (m,).
        """
        _, keys = search_lists(self._index, vector[None], count, probes)
        found = keys[0][keys[0] >= 0]
        return found // len(self._lengths), self._lengths[found % len(self._lengths)]


def lengths_in_frames(settings: IndexSettings, hop_s: float) -> list[int]:
    """Return the lengths, in frames, of the windows whose embeddings FAISS indexes."""
    return sorted({max(1, round(length_s / hop_s)) for length_s in settings.window_lengths_s})


def _windows(
    segment: IndexSegment,
    encoder: EncoderEntry,
    settings: IndexSettings,
    share: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Iterator[tuple[Ints, Floats]]:
    """Yield keys and embeddings of the windows of a segment, shapes (m,) and (m, width), chunk by chunk.

    With `rng`, only random chunks of a large segment are read: about 4 · `share` of them, or all if that is above 1.
    """
    lengths, hop = lengths_in_frames(settings, encoder.hop_s), settings.window_hop
    rows = int(segment.offsets[-1])
    for low in range(0, rows, _CHUNK_FRAMES):
        if rng is not None and rows > _CHUNK_FRAMES and rng.random() > 4 * share:
            continue
        high = min(low + _CHUNK_FRAMES, rows)
        every = np.arange(low, high)
        region = segment.region_of(every)
        starts = segment.offsets[region]
        # Keep the last window of a region, too: a word may be at its end.
        is_stop = ((every - starts) % hop == hop - 1) | (every + 1 == segment.offsets[region + 1])
        is_stop &= segment.is_kept[region]
        stops, begun = every[is_stop] + 1, starts[is_stop]
        first = max(0, low - max(lengths))
        frames = segment.dequantize(first, high)
        for number, length in enumerate(lengths):
            whole = 2 * (stops - begun) >= length
            if whole.any():
                at, start = stops[whole] - first, np.maximum(begun[whole] - first, 0)
                yield stops[whole] * len(lengths) + number, embed_windows(frames, start, at, length, encoder.parts)


def _divisor(largest: int, width: int) -> int:
    """Return the largest number of code bytes, up to `largest`, that divides the width."""
    return max(size for size in range(1, min(largest, width) + 1) if width % size == 0)
