"""Windows that are near a query, found without comparing all: FAISS, inverted lists of product-quantized embeddings.

What is found here is only where to look: each place is compared anew, from its frames (`earmark.search.searching`).
A segment's neighbors index is made of its frames alone, so it can be made, and made anew, without the sound.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import EarmarkError, InputError
from earmark.search.segments import NEIGHBOURS, Segment
from earmark.search.settings import IndexSettings
from earmark.search.storage import write_bytes
from earmark.search.windows import Floats, embed_windows

Ints = NDArray[np.int64]

_PIECE = 16_384  # rows embedded at a time
_SAMPLES_A_LIST = 64  # windows to learn one inverted list from
_FEWEST_LISTS, _MOST_LISTS = 16, 16_384


def faiss() -> Any:
    """The package, imported when it is first needed.

    Raises:
        InputError: it is not installed.
    """
    try:
        import faiss as package
    except ModuleNotFoundError as error:
        raise InputError(f'{error.name}: not installed; run: pip install "earmark[search]"') from None
    return package


def search_lists(index: Any, queries: Floats, count: int, probes: int, among: Any = None) -> tuple[Floats, Ints]:
    """What is about nearest to each query in an index of inverted lists.

    Args:
        index: of FAISS.
        queries: shape (b, width).
        count: how many are wanted for each.
        probes: how many inverted lists are looked into.
        among: a selector of FAISS; None for all. FAISS keeps no reference to what a selector is made of.

    Returns:
        Similarities, and keys or -1, shapes (b, count).
    """
    chosen = faiss().SearchParametersIVF(nprobe=min(probes, index.nlist), sel=among)
    # Who imports faiss.contrib.torch_utils replaces `search` everywhere by one that knows no parameters.
    search = getattr(index, "search_numpy", index.search)
    return search(queries, count, params=chosen)


def learn_codebook(
    segments: Sequence[Segment], settings: IndexSettings, *, hop_s: float, parts: int, seed: int = 0
) -> bytes:
    """Learn inverted lists and codes from a sample of windows.

    Args:
        segments: what is indexed so far.
        settings: lengths and hop of windows, bytes a code.
        hop_s: time between frames.
        parts: of an embedding.
        seed: of the sample.

    Returns:
        An index without windows, as FAISS writes it.
    """
    package = faiss()
    lengths = lengths_of(settings, hop_s)
    rows = sum(segment.kept_frames for segment in segments)
    windows = max(1, rows * len(lengths) // settings.window_hop)
    # Few, long lists: to look through one costs little beside finding the list of every window that is added.
    lists = int(np.clip(2 ** round(np.log2(np.sqrt(windows) / 4)), _FEWEST_LISTS, _MOST_LISTS))
    share = min(1.0, 1.1 * max(_SAMPLES_A_LIST * lists, 256 * _SAMPLES_A_LIST) / windows)
    rng = np.random.default_rng(seed)
    sample = np.concatenate(
        [
            vectors[rng.random(len(vectors)) < share]
            for segment in segments
            for _, vectors in _windows(segment, lengths, settings.window_hop, parts, share, rng)
        ]
    )
    lists = max(1, min(lists, len(sample) // 4))
    width = sample.shape[1]
    codes = _codes(settings.code_bytes, width)
    quantizer = package.IndexFlatIP(width)
    bits = 8 if len(sample) >= 1024 else 4
    index = package.IndexIVFPQ(quantizer, width, lists, codes, bits, package.METRIC_INNER_PRODUCT)
    index.cp.spherical, index.cp.niter, index.cp.min_points_per_centroid = True, 12, 1
    index.pq.cp.niter, index.pq.cp.min_points_per_centroid = 12, 1
    index.train(sample)
    return bytes(package.serialize_index(index))


def add_neighbors(segment: Segment, codebook: bytes, settings: IndexSettings, *, hop_s: float, parts: int) -> None:
    """Write the neighbors index of a segment into its folder.

    Args:
        segment: its windows are found by the row before which they end, and their length.
        codebook: from `learn_codebook`.
        settings: lengths and hop of windows.
        hop_s: time between frames.
        parts: of an embedding.
    """
    package = faiss()
    index = package.deserialize_index(np.frombuffer(codebook, np.uint8))
    for keys, vectors in _windows(segment, lengths_of(settings, hop_s), settings.window_hop, parts):
        index.add_with_ids(vectors, keys)
    partial = segment.folder / f".{NEIGHBOURS}"
    write_bytes(partial, memoryview(package.serialize_index(index)))
    partial.replace(segment.folder / NEIGHBOURS)


class Neighbors:
    """The opened neighbors index of a segment; its lists stay on the disk until they are looked into."""

    def __init__(self, folder: Path, lengths: Sequence[int]) -> None:
        package = faiss()
        path = folder / NEIGHBOURS
        try:
            self._index = package.read_index(str(path), package.IO_FLAG_MMAP)
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:200]
            raise EarmarkError(f"{path}: damaged or missing ({reason}); delete the index and index anew") from None
        self._lengths = np.array(lengths)

    def near(self, vector: Floats, count: int, probes: int) -> tuple[Ints, Ints]:
        """Windows that are about nearest to a vector.

        Args:
            vector: shape (width,), unit length.
            count: how many windows.
            probes: how many inverted lists are looked into.

        Returns:
            The row before which each ends, shape (m,), and its length, shape (m,).
        """
        _, keys = search_lists(self._index, vector[None], count, probes)
        found = keys[0][keys[0] >= 0]
        return found // len(self._lengths), self._lengths[found % len(self._lengths)]


def lengths_of(settings: IndexSettings, hop_s: float) -> list[int]:
    """Lengths of the windows that FAISS knows, in frames."""
    return sorted({max(1, round(length_s / hop_s)) for length_s in settings.window_lengths_s})


def _windows(
    segment: Segment,
    lengths: Sequence[int],
    hop: int,
    parts: int,
    share: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Iterator[tuple[Ints, Floats]]:
    """Keys and embeddings of a segment's windows, shapes (m,) and (m, width), piece by piece; or of some pieces."""
    rows = int(segment.offsets[-1])
    for low in range(0, rows, _PIECE):
        if rng is not None and rows > _PIECE and rng.random() > 4 * share:
            continue
        high = min(low + _PIECE, rows)
        every = np.arange(low, high)
        section = np.searchsorted(segment.offsets, every, side="right") - 1
        begins = segment.offsets[section]
        # The last window of a section too: a word may stand at its end.
        is_stop = ((every - begins) % hop == hop - 1) | (every + 1 == segment.offsets[section + 1])
        is_stop &= segment.is_kept[section]
        stops, begun = every[is_stop] + 1, begins[is_stop]
        first = max(0, low - max(lengths))
        frames = segment.restore(first, high)
        for number, length in enumerate(lengths):
            whole = 2 * (stops - begun) >= length
            if whole.any():
                at, start = stops[whole] - first, np.maximum(begun[whole] - first, 0)
                yield stops[whole] * len(lengths) + number, embed_windows(frames, start, at, length, parts)


def _codes(wanted: int, width: int) -> int:
    """How many bytes a code has: at most as many as wanted, and so that they share the width evenly."""
    return max(size for size in range(1, min(wanted, width) + 1) if width % size == 0)
