"""From a list of segments to pairs that are alike, as R. Algayres et al. (2022, arXiv 2204.05148) mine them.

Embed, reduce to principal components, find nearest neighbors, set a threshold by how many segments shall have one.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import write_array_header
from earmark.core.errors import EarmarkError, InputError
from earmark.core.files import atomic_file, scratch_folder, write_json
from earmark.core.progress import Progress, no_progress
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.segment_pairs import write_segment_pairs
from earmark.evaluation.plots.figures import save
from earmark.evaluation.segment_embeddings import SegmentEmbedder
from earmark.search.faiss_index import faiss
from earmark.training.mining.counts import chance, count_pairs, tally_neighbors
from earmark.training.mining.examples import choose_examples, write_snippets
from earmark.training.mining.folders import map_array, read_json, renew
from earmark.training.mining.neighbors import Neighbors, find_neighbors, recall
from earmark.training.mining.pairs import listed_pairs, write_pair_manifest
from earmark.training.mining.plots import coverage_plot, similarity_plot
from earmark.training.mining.projection import fit_projection
from earmark.training.mining.report import Mined, write_report, write_results
from earmark.training.mining.segment_table import Ints, ordered
from earmark.training.mining.settings import RELATIONS, MiningSettings
from earmark.training.mining.shards import Shards, store_embeddings
from earmark.training.mining.threshold import choose_threshold

Floats = NDArray[np.floating]

_PIECE_ROWS = 65_536
_REPORT = ("similarities.png", "coverage.png", "report.md", "results.json")


def mine(
    source: Path,
    embedder: SegmentEmbedder,
    out: Path,
    settings: MiningSettings,
    *,
    audio: Path | None = None,
    split: str | None = None,
    snippets: bool = False,
    command: Sequence[str] = ("mine",),
    progress: Progress = no_progress,
) -> Mined:
    """Mine pairs of segments that are alike.

    The folder keeps embeddings, components and neighbors: a run that was stopped goes on, and one of other settings
    takes over what they leave as it was. `pairs.parquet`, `pairs.txt`, `report.md`, `results.json` and two pictures
    are complete, or not there.

    Args:
        source: a list of segments, or a manifest.
        embedder: to embed them with.
        out: folder for all that is written.
        settings: how to mine.
        audio: folder that the paths of a list start from.
        split: of a manifest; None for all.
        snippets: also write the examples as sound.
        command: the words of the command line.
        progress: called during each stage.

    Raises:
        InputError: a broken list; the folder holds embeddings of another encoder or list; no segment has a neighbor.
        EarmarkError: the folder cannot be written, or the disk is full. What was finished stays.
    """
    faiss()  # missing, it is known before the work
    seconds: dict[str, float] = {}
    try:
        with _timed(seconds, "embedding"):
            shards = store_embeddings(
                source,
                embedder,
                out / "segments",
                settings,
                audio=audio,
                split=split,
                progress=progress,
            )
        places, order = ordered(shards.rows, shards.names)
        with _timed(seconds, "components"):
            vectors, explained = _reduce(shards, order, out / "components", settings, progress)
        chosen = settings.model_dump(exclude={"is_mutual", "coverage", "bin_width"})
        renew(out / "neighbors", {**shards.stamp, **chosen})
        with _timed(seconds, "neighbors"):
            neighbors = find_neighbors(vectors, places, settings, out / "neighbors", progress=progress)
            found = recall(vectors, places, neighbors, settings) if neighbors.is_approximate else 1.0
        with _timed(seconds, "pairs"):
            best = _best(neighbors, settings)
            if not np.isfinite(best).any():
                raise InputError(_lonely(source, settings))
            curve = choose_threshold(best, settings.coverage, settings.bin_width)
            _clear(out)
            how = {"is_mutual": settings.is_mutual}
            write_pair_manifest(neighbors, places, curve.threshold, out / "pairs.parquet", shards.folder, **how)
            # Any white space, such as an ideographic space: lists are parted wherever there is some.
            has_list = not any(len(name.split()) > 1 for name in (*shards.names.file, *shards.names.speaker))
            if has_list:
                write_segment_pairs(listed_pairs(neighbors, places, curve.threshold, **how), out / "pairs.txt")
        mined = Mined(
            out=out,
            encoder=(embedder.name, embedder.fingerprint),
            lists=source.stem,
            settings=settings,
            counts=count_pairs(neighbors, places, curve.threshold, **how),
            curve=curve,
            tallies=tally_neighbors(neighbors, places, settings.bin_width, **how),
            examples=choose_examples(neighbors, places, best, curve.threshold),
            segments=len(places),
            recordings=len(shards.names.file),
            speakers=len(set(shards.names.speaker) - {""}),
            left_out=shards.left_out,
            not_drawn=shards.not_drawn,
            explained=explained,
            recall=found,
            chance=chance(places),
            has_list=has_list,
            seconds=seconds,
        )
        _describe(mined, AudioFolder(shards.folder), command, snippets=snippets)
    except OSError as error:
        raise EarmarkError(
            f"{out}: cannot be written ({error.strerror or error}); make room and run it again, finished parts are kept"
        ) from None
    return mined


def _clear(out: Path) -> None:
    """Delete what describes pairs of another run, before these take their place."""
    for name in (*_REPORT, "pairs.parquet", "pairs.txt"):
        (out / name).unlink(missing_ok=True)


def _describe(mined: Mined, recordings: AudioFolder, command: Sequence[str], *, snippets: bool) -> None:
    """Write report, pictures and examples; `results.json` comes last, and says that all is there."""
    if snippets:
        write_snippets(mined.examples, recordings, mined.out / "listen")
    with scratch_folder(mined.out) as folder:
        save(similarity_plot(mined.tallies, mined.curve, mined.settings.bin_width), folder / "similarities.png")
        save(coverage_plot(mined.tallies, mined.curve, mined.settings.coverage), folder / "coverage.png")
        write_report(mined, folder)
        write_results(mined, folder, command)
        for name in _REPORT:
            (folder / name).replace(mined.out / name)


def _reduce(
    shards: Shards, order: Ints, folder: Path, settings: MiningSettings, progress: Progress
) -> tuple[Floats, float]:
    """Unit vectors of principal components in the order of comparison, mapped; and the variance that they keep."""
    renew(folder, {**shards.stamp, **settings.model_dump(include={"dimension", "pca_rows", "seed"})})
    count = len(order)
    if not (folder / "done.json").exists():
        rng = np.random.default_rng(settings.seed)
        sample = np.sort(rng.choice(count, min(count, settings.pca_rows), replace=False))
        projection = fit_projection((shards.take(some) for some in _pieces(sample)), settings.dimension)
        with atomic_file(folder / "vectors.npy") as file:
            write_array_header(file, np.dtype(np.float32), (count, projection.axes.shape[1]))
            done = 0
            for some in _pieces(order):
                file.write(projection.apply(shards.take(some)).tobytes())
                done += len(some)
                progress("components", done, count)
        write_json(folder / "done.json", {"explained": projection.explained})
    return map_array(folder / "vectors.npy"), read_json(folder / "done.json")["explained"]


def _pieces(rows: Ints) -> Iterator[Ints]:
    for start in range(0, len(rows), _PIECE_ROWS):
        yield rows[start : start + _PIECE_ROWS]


def _best(neighbors: Neighbors, settings: MiningSettings) -> Floats:
    """Similarity of each segment's nearest neighbor, shape (n,)."""
    pieces = neighbors.pieces(is_mutual=settings.is_mutual)
    return np.concatenate([similarities.max(axis=1) for _, similarities, _ in pieces])


def _lonely(source: Path, settings: MiningSettings) -> str:
    cure = {
        "any": "list segments that do not overlap",
        "same": "list more segments of a speaker, or mine with --any",
        "across": "list segments of more speakers, or mine with --any",
    }[settings.relation]
    return f"{source}: no segment has a neighbor among those of {RELATIONS[settings.relation]}; {cure}"


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - start, 2)
