"""The simulation: the same few labels for MFCC and for learned features, on a fresh random split each time.

One repetition draws unlabeled, labeled and test clips; a convolution learns words from the MFCC of the labeled ones,
two auto-encoders learn from the unlabeled clips, with and without their position, and a dense classifier learns words
from either one's embeddings of the labeled clips. All three are asked about the same test clips.

What lies in the run's folder afterward, and how to read it: :mod:`earmark.evaluation.simulation.results`.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from earmark.core.errors import InputError
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
from earmark.training.spatial.autoencoder import Learned, learn
from earmark.training.spatial.classifier import classify
from earmark.training.spatial.conv1d import classify_mfcc
from earmark.training.spatial.pools import Pools, draw, prepare_pools
from earmark.training.spatial.position import choose_anchors, positions
from earmark.training.spatial.settings import SpatialSettings
from earmark.training.words.recipe import Source

Stage = Literal["mfcc", "plain", "spatial"]
Report = Callable[[int, Stage, int, int, float], object]
"""Told the repetition's number, what learns, its epochs done and at most, and the loss that decides."""

SYSTEMS: dict[Stage, str] = {
    "mfcc": "MFCC, convolution",
    "plain": "auto-encoder, dense",
    "spatial": "spatial auto-encoder, dense",
}
NUMBERS = ("error", "weighted_precision", "weighted_recall")


def simulate(
    settings: SpatialSettings,
    folder: Path,
    *,
    pools: Pools | None = None,
    jobs: int = 1,
    report: Report = lambda *_: None,
    on_done: Callable[[int], object] = lambda _: None,
) -> list[Repetition]:
    """Run the repetitions that are not there yet, and write everything into a folder.

    Args:
        settings: of the simulation.
        folder: of the run.
        pools: the clips; unless given, `prepare_pools` packs and opens them.
        jobs: repetitions at a time, each a process of its own; with one, it is this process, which tells of epochs.
        report: told after each epoch.
        on_done: told the number of each repetition that is there.

    Returns:
        All repetitions whose arrays are there.

    Raises:
        InputError: the folder holds results of other settings, or the clips are not what the settings ask for.
    """
    pools = pools or prepare_pools(settings.data, settings.autoencoder.encoder)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, settings, pools)
    tables = {"spatial": folder / RESULTS, "plain": folder / PLAIN_RESULTS}
    done = len(read_rows(tables["spatial"])) if tables["spatial"].exists() else 0
    wanted = range(1, settings.repetitions + 1)
    missing = [number for number in wanted[done:] if not repetition_path(folder, number).exists()]
    for number in {*wanted} - {*missing}:
        on_done(number)
    for number in _run(settings, pools, folder, missing, jobs, report):
        on_done(number)
        # In order, whichever was ready first: a row says by its place which repetition it is.
        done = _append(folder, tables, done)
    _append(folder, tables, done)
    kept = [repetition_path(folder, number) for number in wanted]
    return [Repetition.open(path) for path in kept if path.exists()]


def summarize(repetitions: list[Repetition]) -> dict[Stage, dict[str, Average]]:
    """Mean and interval over repetitions of each system's :data:`NUMBERS`.

    Repetitions draw from the same clips, so that the intervals say how much the draw matters, not other clips.
    """
    scores = {stage: [repetition.scores(stage) for repetition in repetitions] for stage in SYSTEMS}
    return {
        stage: {name: Average(tuple(getattr(one, name) for one in found)) for name in NUMBERS}
        for stage, found in scores.items()
    }


def gain(repetitions: list[Repetition], better: Stage, than: Stage) -> Average:
    """By how much one system's accuracy is above another's, in the same repetitions."""
    return Average(tuple(one.scores(than).error - one.scores(better).error for one in repetitions))


def run_repetition(
    settings: SpatialSettings, pools: Pools, folder: Path, number: int, report: Report = lambda *_: None
) -> None:
    """One repetition; its encoders and, when all is done, its arrays appear in the folder.

    Args:
        settings: of the simulation.
        pools: all clips.
        folder: of the run.
        number: of the repetition, from 1 on; it and the seed decide all that is drawn.
        report: told after each epoch.
    """
    generator = np.random.default_rng((settings.seed, number))
    drawn = draw(pools, settings.sizes, generator)
    seed = int(generator.integers(2**31))
    mel = pools.mel[drawn.unlabeled]
    places = positions(mel, choose_anchors(mel, settings.autoencoder.anchors, generator))
    mfcc = {name: pools.mfcc[rows] for name, rows in (("labeled", drawn.labeled), ("test", drawn.test))}
    labels = pools.labels[drawn.labeled]
    classes = len(pools.classes)

    def told(stage: Stage, most: int) -> Callable[[int, float], object]:
        return lambda epoch, loss: report(number, stage, epoch, most, loss)

    def taught(stage: Stage, given: Tensor | None) -> Learned:
        # The same seed for both: they begin alike, see the clips in the same order, and differ by the head alone.
        start = torch.Generator().manual_seed(seed)
        encoder = settings.autoencoder
        learned = learn(unlabeled, given, encoder, start, told(stage, encoder.fit.epochs))
        save_encoder(learned, settings, folder / f"{stage}-{number:02}.safetensors")
        return learned

    def predicted(embeddings: Mapping[str, Any]) -> Any:
        train, test = embeddings["labeled"], embeddings["test"]
        return classify(train, labels, test, classes=classes, seed=seed, settings=settings.classifier).argmax(axis=1)

    convolution = classify_mfcc(
        mfcc["labeled"],
        labels,
        mfcc["test"],
        classes=classes,
        seed=seed,
        settings=settings.benchmark,
        shape=settings.autoencoder.encoder.shape,
        on_epoch=told("mfcc", settings.benchmark.epochs),
    )
    unlabeled = torch.from_numpy(pools.mfcc[pools.unlabeled[drawn.unlabeled]])
    plain = taught("plain", None)
    spatial = taught("spatial", torch.from_numpy(places))
    embedded = {
        stage: {name: learned.embed(torch.from_numpy(rows)).numpy() for name, rows in mfcc.items()}
        for stage, learned in (("plain", plain), ("spatial", spatial))
    }
    Repetition(
        classes=np.array(pools.classes),
        labeled_paths=pools.paths[drawn.labeled],
        labeled_labels=labels,
        labeled_speakers=pools.speakers[drawn.labeled],
        labeled_mfcc=mfcc["labeled"],
        labeled_plain=embedded["plain"]["labeled"],
        labeled_spatial=embedded["spatial"]["labeled"],
        test_paths=pools.paths[drawn.test],
        test_labels=pools.labels[drawn.test],
        test_speakers=pools.speakers[drawn.test],
        mfcc_predictions=convolution.argmax(axis=1),
        plain_predictions=predicted(embedded["plain"]),
        spatial_predictions=predicted(embedded["spatial"]),
        positions=places,
        plain_loss=np.array(plain.history.loss),
        spatial_loss=np.array(spatial.history.loss),
    ).save(repetition_path(folder, number))


def save_encoder(learned: Learned, settings: SpatialSettings, path: Path) -> None:
    """A checkpoint that `--encoder` of every evaluation opens: the encoder with its frontend."""
    recipe = {
        "kind": settings.kind,
        "name": f"{settings.name}-{path.stem}",
        "autoencoder": settings.autoencoder.model_dump(mode="json"),
    }
    tensors = {f"model.network.{name}": tensor for name, tensor in learned.encoder.state_dict().items()}
    losses = learned.history.loss
    save_checkpoint(path, Checkpoint(recipe, len(losses), {"loss": losses[-1]}, tensors))


def _claim(folder: Path, settings: SpatialSettings, pools: Pools) -> None:
    """Say in the folder what its results are of, or make sure that it says just that."""
    path = folder / "settings.json"
    # More repetitions may be asked for later; where the clips lie and how many threads there are changes no number.
    said = settings.model_dump(mode="json", exclude={"repetitions", "threads", "data"})
    said |= {"speakers": settings.data.speakers, "clips": pools.stamp, "classes": list(pools.classes)}
    said["sources"] = {role: [_said(source) for source in sources] for role, sources in settings.data.roles.items()}
    text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        other = next((key for key in said if found.get(key) != said[key]), None)
        if other is not None:
            raise InputError(f"{folder}: holds results of other settings ({other}); give another folder by --run")
        return
    if (folder / RESULTS).exists():
        raise InputError(f"{folder / RESULTS}: nothing says of which settings it is; give another folder by --run")
    path.write_text(text, encoding="utf-8")


def _said(source: Source) -> dict[str, Any]:
    """What a source chooses, of the manifest's path the last two parts."""
    chosen = source.model_dump(mode="json", exclude={"manifest", "license"}, exclude_defaults=True)
    return {"manifest": "/".join(source.manifest.parts[-2:]), **chosen}


def _run(
    settings: SpatialSettings, pools: Pools, folder: Path, numbers: list[int], jobs: int, report: Report
) -> Iterator[int]:
    """Run repetitions; the number of each that is done."""
    if jobs == 1 or len(numbers) < 2:
        with _threads(settings.threads):
            for number in numbers:
                run_repetition(settings, pools, folder, number, report)
                yield number
        return
    with ProcessPoolExecutor(min(jobs, len(numbers)), mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_run_alone, settings, folder, number): number for number in numbers}
        for done in as_completed(waiting):
            done.result()
            yield waiting[done]


def _run_alone(settings: SpatialSettings, folder: Path, number: int) -> None:
    """One repetition in a process of its own, which opens the clips itself."""
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


def _append(folder: Path, tables: Mapping[str, Path], done: int) -> int:
    """Put the repetitions that follow the last row into the tables; how many rows there are then."""
    while (path := repetition_path(folder, done + 1)).exists():
        repetition = Repetition.open(path)
        mfcc = repetition.scores("mfcc")
        # The table that says how many are done comes last.
        for stage in ("plain", "spatial"):
            rows = read_rows(tables[stage])[:done] if done else []
            write_rows(tables[stage], [*rows, row_of(mfcc, repetition.scores(stage))])
        done += 1
    return done
