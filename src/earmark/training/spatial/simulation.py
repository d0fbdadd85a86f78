"""The simulation: compares MFCC and learned features with few labels, on a new random split in each repetition.

A repetition draws unlabeled, labeled and test clips. A convolution is trained on the MFCC of the labeled clips. Two
auto-encoders, with and without a position head, are trained on the unlabeled clips. For each auto-encoder, a dense
classifier is trained on its embeddings of the labeled clips. All three systems classify the same test clips.

:mod:`earmark.evaluation.simulation.results` describes and reads the files of a run.
"""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from earmark.core.config import portable_path
from earmark.core.errors import InputError
from earmark.core.progress import Progress, follow, no_progress, within
from earmark.core.workspace import Workspace
from earmark.evaluation.simulation.results import (
    PLAIN_RESULTS,
    RESULTS,
    Repetition,
    read_rows,
    repetition_path,
    row_of,
    write_rows,
)
from earmark.training.compare.summary import Average
from earmark.training.run.checkpoint import Checkpoint, save_checkpoint
from earmark.training.spatial.autoencoder import TrainedAutoencoder, train_autoencoder
from earmark.training.spatial.classifier import classify
from earmark.training.spatial.conv1d import classify_mfcc
from earmark.training.spatial.pools import Pools, draw_sample, prepare_pools
from earmark.training.spatial.position import choose_anchors, positions
from earmark.training.spatial.settings import SpatialSettings
from earmark.training.words.recipe import Source

System = Literal["mfcc", "plain", "spatial"]

SYSTEMS: dict[System, str] = {
    "mfcc": "MFCC, convolution",
    "plain": "auto-encoder, dense",
    "spatial": "spatial auto-encoder, dense",
}
NUMBERS = ("error", "weighted_precision", "weighted_recall")


def simulate(
    settings: SpatialSettings, folder: Path, *, jobs: int = 1, progress: Progress = no_progress
) -> list[Repetition]:
    """Run the repetitions of a simulation that its folder does not have yet, and write their results into it.

    Args:
        settings: settings of the simulation.
        folder: folder of the run.
        jobs: number of processes, each of which runs one repetition at a time; with 1, this process runs all.
        progress: counts packed clips, repetitions and, with one job, epochs.

    Returns:
        All repetitions in the folder.

    Raises:
        InputError: the folder has results of other settings, or the clips do not fit the settings.
    """
    pools = prepare_pools(settings.data, settings.autoencoder.encoder, progress=progress)
    _open_workspace(folder, settings, pools)
    tables = {"spatial": folder / RESULTS, "plain": folder / PLAIN_RESULTS}
    rows = len(read_rows(tables["spatial"])) if tables["spatial"].exists() else 0
    wanted = range(1, settings.repetitions + 1)
    missing = [number for number in wanted[rows:] if not repetition_path(folder, number).exists()]
    finished = _run(settings, pools, folder, missing, jobs, progress)
    first = len(wanted) - len(missing)
    for _ in follow(finished, "repetitions", progress, first=first, total=len(wanted)):
        # Rows are in the order of the repetitions' numbers, not in the order in which they finish.
        rows = _append_rows(folder, tables, rows)
    _append_rows(folder, tables, rows)
    kept = [repetition_path(folder, number) for number in wanted]
    return [Repetition.open(path) for path in kept if path.exists()]


def summarize(repetitions: Sequence[Repetition]) -> dict[System, dict[str, Average]]:
    """Average the metrics :data:`NUMBERS` of each system over the repetitions.

    All repetitions draw from the same clips. The intervals therefore measure the influence of the draw, not of the
    clips.
    """
    scores = {system: [repetition.scores(system) for repetition in repetitions] for system in SYSTEMS}
    return {
        system: {name: Average(tuple(getattr(one, name) for one in found)) for name in NUMBERS}
        for system, found in scores.items()
    }


def gain(repetitions: Sequence[Repetition], better: System, than: System) -> Average:
    """Compute how much more accurate the system `better` is than the system `than`, averaged over the repetitions."""
    return Average(tuple(one.scores(than).error - one.scores(better).error for one in repetitions))


def run_repetition(
    settings: SpatialSettings, pools: Pools, folder: Path, number: int, progress: Progress = no_progress
) -> None:
    """Run one repetition of a simulation; write its encoders, and then its predictions and losses, into a folder.

    Args:
        settings: settings of the simulation.
        pools: all clips.
        folder: folder of the run.
        number: number of the repetition, from 1; all random numbers depend on this number and the seed.
        progress: counts epochs.
    """
    progress = within(f"repetition {number}", progress)
    generator = np.random.default_rng((settings.seed, number))
    sample = draw_sample(pools, settings.sizes, generator)
    seed = int(generator.integers(2**31))
    mel = pools.mel[sample.unlabeled]
    found = positions(mel, choose_anchors(mel, settings.autoencoder.anchors, generator))
    mfcc = {"labeled": pools.mfcc[sample.labeled], "test": pools.mfcc[sample.test]}
    labels, classes = pools.labels[sample.labeled], len(pools.classes)
    convolution = classify_mfcc(
        mfcc["labeled"],
        labels,
        mfcc["test"],
        classes=classes,
        seed=seed,
        settings=settings.benchmark,
        shape=settings.autoencoder.encoder.shape,
        progress=within("mfcc", progress),
    )
    by_system: dict[str, Any] = {"mfcc_predictions": convolution.argmax(axis=1)}
    unlabeled = torch.from_numpy(pools.mfcc[pools.unlabeled[sample.unlabeled]])
    targets: dict[System, Any] = {"plain": None, "spatial": torch.from_numpy(found)}
    for system, target in targets.items():
        # Both auto-encoders have the same seed, so that they have the same initial weights and order of clips.
        drawn = torch.Generator().manual_seed(seed)
        trained = train_autoencoder(unlabeled, target, settings.autoencoder, drawn, within(system, progress))
        save_encoder(trained, settings, folder / f"{system}-{number:02}.safetensors")
        embedded = {name: trained.embed(torch.from_numpy(rows)).numpy() for name, rows in mfcc.items()}
        logits = classify(
            embedded["labeled"], labels, embedded["test"], classes=classes, seed=seed, settings=settings.classifier
        )
        by_system |= {f"labeled_{system}": embedded["labeled"], f"{system}_predictions": logits.argmax(axis=1)}
        by_system[f"{system}_loss"] = np.array(trained.history.loss)
    Repetition(
        classes=np.array(pools.classes),
        labeled_paths=pools.paths[sample.labeled],
        labeled_labels=labels,
        labeled_speakers=pools.speakers[sample.labeled],
        labeled_mfcc=mfcc["labeled"],
        test_paths=pools.paths[sample.test],
        test_labels=pools.labels[sample.test],
        test_speakers=pools.speakers[sample.test],
        positions=found,
        **by_system,
    ).save(repetition_path(folder, number))


def save_encoder(trained: TrainedAutoencoder, settings: SpatialSettings, path: Path) -> None:
    """Save the encoder of a trained auto-encoder as a checkpoint, from which `load_embedder` makes an embedder."""
    recipe = {
        "kind": settings.kind,
        "name": f"{settings.name}-{path.stem}",
        "autoencoder": settings.autoencoder.model_dump(mode="json"),
    }
    tensors = {f"model.network.{name}": tensor for name, tensor in trained.encoder.state_dict().items()}
    losses = trained.history.loss
    save_checkpoint(path, Checkpoint(recipe, len(losses), {"loss": losses[-1]}, tensors))


def _open_workspace(folder: Path, settings: SpatialSettings, pools: Pools) -> None:
    """Write the settings into the folder of a run, or check that the folder has the same settings.

    Raises:
        InputError: the folder has results of other settings, or results without settings.
    """
    # The number of repetitions may be raised later; paths and the number of threads do not change results.
    stamp = settings.model_dump(mode="json", exclude={"repetitions", "threads", "data"})
    stamp |= {"speakers": settings.data.speakers, "clips": pools.stamp, "classes": list(pools.classes)}
    stamp["sources"] = {
        role: [_portable(source) for source in sources] for role, sources in settings.data.roles.items()
    }
    workspace = Workspace(folder, stamp, name="settings.json")
    if (folder / RESULTS).exists() and not (folder / workspace.name).exists():
        raise InputError(
            f"{folder}: the folder has {RESULTS} without {workspace.name}; name another folder, or delete this one"
        )
    workspace.open()


def _portable(source: Source) -> dict[str, Any]:
    """Convert a source of clips to JSON values that are the same on every machine.

    Only the last two parts of the path of its manifest are kept.
    """
    selection = source.model_dump(mode="json", exclude={"manifest", "license"}, exclude_defaults=True)
    return {"manifest": portable_path(str(source.manifest)), **selection}


def _run(
    settings: SpatialSettings, pools: Pools, folder: Path, numbers: list[int], jobs: int, progress: Progress
) -> Iterator[int]:
    """Run the repetitions with the given numbers in `jobs` processes, and yield the number of each finished one."""
    if jobs == 1 or len(numbers) < 2:
        with _threads(settings.threads):
            for number in numbers:
                run_repetition(settings, pools, folder, number, progress)
                yield number
        return
    with ProcessPoolExecutor(min(jobs, len(numbers)), mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_run_in_process, settings, folder, number): number for number in numbers}
        for done in as_completed(waiting):
            done.result()
            yield waiting[done]


def _run_in_process(settings: SpatialSettings, folder: Path, number: int) -> None:
    """Run one repetition in a worker process; the clips, which take much memory, are opened there."""
    with _threads(settings.threads):
        run_repetition(settings, prepare_pools(settings.data, settings.autoencoder.encoder), folder, number)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _append_rows(folder: Path, tables: Mapping[str, Path], count: int) -> int:
    """Append a row to both result tables for each finished repetition after number `count`.

    Args:
        folder: folder of the run.
        tables: paths of the tables by system.
        count: number of rows in the tables.

    Returns:
        The new number of rows.
    """
    while (path := repetition_path(folder, count + 1)).exists():
        repetition = Repetition.open(path)
        mfcc = repetition.scores("mfcc")
        # The table `spatial`, whose rows are counted, is written last.
        for system in ("plain", "spatial"):
            rows = read_rows(tables[system])[:count] if count else []
            write_rows(tables[system], [*rows, row_of(mfcc, repetition.scores(system))])
        count += 1
    return count
