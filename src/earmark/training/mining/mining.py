"""Mining of pairs of similar segments as in Algayres et al. (2022, arXiv 2204.05148).

The steps are: embed the segments, project the embeddings onto principal components, find nearest neighbors, and choose
the similarity threshold at which a wanted share of the segments has a neighbor.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import read_array, write_array_header
from earmark.core.errors import InputError, writing
from earmark.core.files import atomic_file
from earmark.core.progress import Progress, follow, no_progress
from earmark.core.workspace import Workspace
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.segment_pairs import write_segment_pairs
from earmark.evaluation.segment_embeddings import SegmentEmbedder
from earmark.search.faiss_index import faiss
from earmark.training.mining.counts import chance_agreement, count_pairs, neighbor_histograms
from earmark.training.mining.examples import choose_examples
from earmark.training.mining.neighbors import Neighbors, find_neighbors, measure_recall
from earmark.training.mining.pairs import listed_pairs, write_pair_manifest
from earmark.training.mining.projection import fit_projection
from earmark.training.mining.report import FILES, write_report
from earmark.training.mining.result import MiningResult
from earmark.training.mining.segment_table import Ints, SegmentTable, sort_segments
from earmark.training.mining.settings import RELATIONS, MiningSettings
from earmark.training.mining.shards import Shards, store_embeddings
from earmark.training.mining.threshold import CoverageCurve, choose_threshold

Floats = NDArray[np.floating]

_PIECE_ROWS = 65_536


def mine(
    source: Path,
    embedder: SegmentEmbedder,
    out: Path,
    settings: MiningSettings | None = None,
    *,
    audio: Path | None = None,
    split: str | None = None,
    snippets: bool = False,
    command: Sequence[str] = ("mine",),
    progress: Progress = no_progress,
) -> MiningResult:
    """Mine pairs of similar segments of speech, and write them with a report into a folder.

    Embeddings, components and neighbors are kept in the folder. An interrupted run resumes, and a run with other
    settings reuses results that do not depend on these settings. `pairs.parquet`, `pairs.txt`, `report.md`,
    `results.json` and two plots are complete or absent.

    Args:
        source: a list of segments, or a manifest.
        embedder: embeds the segments.
        out: folder of all files.
        settings: mining settings.
        audio: folder that the paths of a list start from.
        split: split of a manifest; None for all.
        snippets: also write the examples as audio.
        command: the words of the command line, for the report.
        progress: counts segments.

    Raises:
        InputError: a broken list; the folder has embeddings of another encoder or list; no segment has a neighbor.
        EarmarkError: the folder cannot be written, or the disk is full. Finished results stay.
    """
    faiss()  # raises an error before the work if it is not installed
    settings = settings or MiningSettings()
    seconds: dict[str, float] = {}
    with writing(out):
        with _timed(seconds, "embedding"):
            shards = store_embeddings(
                source, embedder, out / "segments", settings, audio=audio, split=split, progress=progress
            )
        table, order = sort_segments(shards.rows, shards.names)
        with _timed(seconds, "components"):
            vectors, explained = _project(shards, order, out / "components", settings, progress)
        with _timed(seconds, "neighbors"):
            neighbors, recall = _find(vectors, table, shards, out / "neighbors", settings, progress)
        with _timed(seconds, "pairs"):
            best = _nearest_similarities(neighbors, settings)
            if not np.isfinite(best).any():
                raise InputError(f"{source}: {_no_neighbor(settings)}")
            curve = choose_threshold(best, settings.coverage, settings.bin_width)
            has_list = _write_pairs(neighbors, table, curve.threshold, shards, out, settings)
        numbers = {"explained": explained, "recall": recall}
        result = _result(source, embedder, out, settings, shards, table, neighbors, curve, has_list, numbers, seconds)
        write_report(result, AudioFolder(shards.folder), command, snippets=snippets)
    return result


def _result(
    source: Path,
    embedder: SegmentEmbedder,
    out: Path,
    settings: MiningSettings,
    shards: Shards,
    table: SegmentTable,
    neighbors: Neighbors,
    curve: CoverageCurve,
    has_list: bool,
    numbers: Mapping[str, float],
    seconds: Mapping[str, float],
) -> MiningResult:
    """Describe mined pairs for the report: count them, compute histograms, and choose examples."""
    best = _nearest_similarities(neighbors, settings)
    return MiningResult(
        out=out,
        encoder=(embedder.name, embedder.fingerprint),
        lists=source.stem,
        settings=settings,
        counts=count_pairs(neighbors, table, curve.threshold, mutual=settings.mutual),
        curve=curve,
        histograms=neighbor_histograms(neighbors, table, settings.bin_width, mutual=settings.mutual),
        examples=choose_examples(neighbors, table, best, curve.threshold),
        segments=len(table),
        recordings=len(shards.names.file),
        speakers=len(set(shards.names.speaker) - {""}),
        left_out=shards.left_out,
        not_drawn=shards.not_drawn,
        explained=numbers["explained"],
        recall=numbers["recall"],
        chance=chance_agreement(table),
        has_list=has_list,
        seconds=seconds,
    )


def _project(
    shards: Shards, order: Ints, folder: Path, settings: MiningSettings, progress: Progress
) -> tuple[Floats, float]:
    """Project stored embeddings onto their principal components.

    Args:
        shards: the embeddings.
        order: numbers of the segments in the order of the result, shape (n,).
        folder: folder for the result, which is reused if the settings are the same.
        settings: number of components, and size of the sample that they are fitted to.
        progress: counts segments.

    Returns:
        Unit vectors, shape (n, k), mapped from a file; and the share of variance that the components keep.
    """
    count = len(order)
    stamp = {**shards.stamp, **settings.model_dump(include={"dimension", "pca_rows", "seed"})}
    work = Workspace(folder, stamp)
    work.open(restart=True)

    def project() -> dict[str, float]:
        rng = np.random.default_rng(settings.seed)
        sample = np.sort(rng.choice(count, min(count, settings.pca_rows), replace=False))
        projection = fit_projection((shards.take(some) for some in _pieces(sample)), settings.dimension)
        with atomic_file(folder / "vectors.npy") as file:
            write_array_header(file, np.dtype(np.float32), (count, projection.axes.shape[1]))
            for some in follow(_pieces(order), "components", progress):
                file.write(projection.apply(shards.take(some)).tobytes())
        return {"explained": projection.explained}

    explained = work.result("done", project)["explained"]
    return read_array(folder / "vectors.npy", f"delete {folder} and mine again"), explained


def _find(
    vectors: Floats, table: SegmentTable, shards: Shards, folder: Path, settings: MiningSettings, progress: Progress
) -> tuple[Neighbors, float]:
    """Find the nearest neighbors of all segments, or open those that the folder has from a run with the same settings.

    Returns:
        The neighbors, and the share of the true neighbors that the search found; 1 for an exact search.
    """
    stamp = {**shards.stamp, **settings.model_dump(exclude={"mutual", "coverage", "bin_width"})}
    Workspace(folder, stamp).open(restart=True)
    neighbors = find_neighbors(vectors, table, settings, folder, progress=progress)
    return neighbors, measure_recall(vectors, table, neighbors, settings) if neighbors.is_approximate else 1.0


def _write_pairs(
    neighbors: Neighbors, table: SegmentTable, threshold: float, shards: Shards, out: Path, settings: MiningSettings
) -> bool:
    """Write the pairs of neighbors above a threshold to `pairs.parquet` and, if possible, to `pairs.txt`.

    Returns:
        Whether `pairs.txt` was written; it cannot be written if a path or a speaker contains white space.
    """
    # Files about the pairs of an earlier run are deleted first.
    for name in (*FILES, "pairs.parquet", "pairs.txt"):
        (out / name).unlink(missing_ok=True)
    mutual = settings.mutual
    write_pair_manifest(neighbors, table, threshold, out / "pairs.parquet", shards.folder, mutual=mutual)
    # Any white space separates the columns of a list, even an ideographic space.
    has_list = not any(len(name.split()) > 1 for name in (*shards.names.file, *shards.names.speaker))
    if has_list:
        write_segment_pairs(listed_pairs(neighbors, table, threshold, mutual=mutual), out / "pairs.txt")
    return has_list


def _pieces(rows: Ints) -> list[Ints]:
    return [rows[start : start + _PIECE_ROWS] for start in range(0, len(rows), _PIECE_ROWS)]


def _nearest_similarities(neighbors: Neighbors, settings: MiningSettings) -> Floats:
    """Compute the similarity of each segment to its nearest neighbor, shape (n,); -inf if it has no neighbor."""
    pieces = neighbors.pieces(mutual=settings.mutual)
    return np.concatenate([similarities.max(axis=1) for _, similarities, _ in pieces])


def _no_neighbor(settings: MiningSettings) -> str:
    cure = {
        "any": "list segments that do not overlap",
        "same": 'list more segments per speaker, or set relation = "any"',
        "across": 'list segments of more speakers, or set relation = "any"',
    }[settings.relation]
    return f"no segment has a neighbor among the segments of {RELATIONS[settings.relation]}; {cure}"


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - start, 2)
