"""Training runs of a comparison: one for each combination of recipe, encoder and seed."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from earmark.core.config import read_toml
from earmark.core.errors import InputError, collected, raise_faults
from earmark.core.progress import Progress, no_progress, within
from earmark.training.loop import check, train
from earmark.training.run.distributed import find_device
from earmark.training.words.corpus import prepare_corpus, validation_bank
from earmark.training.words.recipe import Recipe, read_recipe


@dataclass(frozen=True)
class Run:
    """One training run of a comparison: a recipe with one encoder and one seed.

    Attributes:
        system: name of the recipe, followed by the name of the encoder if encoders are compared.
        seed: seed of the run.
        recipe: recipe of the run, with its seed.
        folder: folder of the run.
    """

    system: str
    seed: int
    recipe: Recipe
    folder: Path


def recipes_in(path: Path) -> list[Path]:
    """Find recipe files: a file is returned itself; of a folder, the recipes that no other recipe there extends.

    Raises:
        InputError: the folder has no recipes.
    """
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.toml"))
    extended = {(path / str(read_toml(recipe).get("extends", ""))).resolve() for recipe in found}
    if not found:
        raise InputError(f"{path}: the folder has no recipe (.toml); name a folder with recipes")
    return [recipe for recipe in found if recipe.resolve() not in extended]


def plan_runs(
    recipes: Iterable[Path],
    seeds: Sequence[int],
    out: Path,
    *,
    encoders: Sequence[Path] = (),
    overrides: Sequence[str] = (),
) -> list[Run]:
    """List the training runs of all combinations of recipes, encoders and seeds.

    Args:
        recipes: recipe files, or folders of recipes; the ``name`` of a recipe is the name of its system.
        seeds: seeds of the runs of each system.
        out: folder for the runs, each in ``SYSTEM/seedN``.
        encoders: files with tables of a recipe, such as ``[encoder]``, which replace those of each recipe.
        overrides: values that replace those of all recipes, each as ``key=value``.

    Raises:
        InputError: two recipes have the same name, or a recipe cannot be read.
    """
    runs: list[Run] = []
    faults: list[str] = []
    named: dict[str, Path] = {}
    for path in [recipe for given in recipes for recipe in recipes_in(given)]:
        for encoder in encoders or (None,):
            for seed in seeds:
                with collected(faults):
                    recipe = read_recipe(path, [*overrides, f"seed={seed}"], over=encoder)
                if faults:
                    continue
                system = recipe.name if encoder is None else f"{recipe.name} {encoder.stem}"
                if named.setdefault(recipe.name, path) != path:
                    raise InputError(
                        f"{path}: the name {recipe.name!r} is also that of {named[recipe.name]}; rename one recipe"
                    )
                runs.append(Run(system, seed, recipe, out / system.replace(" ", "+") / f"seed{seed}"))
    raise_faults(faults)
    if not runs:
        raise InputError("the list is empty, so there is nothing to train; name a recipe", key="recipes")
    return runs


def check_runs(runs: Sequence[Run], *, device: str | None = None) -> None:
    """Check the recipes, data and folders of all runs before the first training.

    Args:
        runs: runs of :func:`plan_runs`; a run may be initialized from the checkpoint of another.
        device: ``cpu``, ``cuda``, …; None for the GPU if there is one.

    Raises:
        InputError: a key, a file or a folder is wrong; the error lists the faults of all runs.
    """
    find_device(device)
    expected = {run.folder.resolve() / f"{name}.safetensors" for run in runs for name in ("best", "last")}
    faults: list[str] = []
    for run in runs:
        found: list[str] = []
        with collected(found):
            check(run.recipe, run.folder, expected=expected)
        faults += [f"{run.system}: {fault}" for fault in found]
    raise_faults(faults)


def train_runs(
    runs: Sequence[Run], *, device: str | None = None, jobs: int = 1, progress: Progress = no_progress
) -> Iterator[Run]:
    """Train the runs that are not finished; a run that was stopped resumes.

    Args:
        runs: runs of :func:`plan_runs`.
        device: ``cpu``, ``cuda``, …; None for the GPU if there is one.
        jobs: number of processes; each trains one run at a time.
        progress: counts packed clips and, with one job, training steps.

    Yields:
        Each run when it is finished. A run that is initialized from the checkpoint of another is trained after it.
    """
    stages = in_stages(runs)
    if jobs == 1:
        for run in [run for stage in stages for run in stage]:
            inner = within(f"{run.system}, seed {run.seed}", progress)
            train(run.recipe, run.folder, device=device, progress=inner)
            yield run
        return
    for recipe in {run.recipe.data.model_dump_json() + run.recipe.scenes.kind: run.recipe for run in runs}.values():
        # Clips are packed before the processes start, so that no two processes pack the same folder.
        prepare_corpus(recipe, progress=progress)
        validation_bank(recipe, progress=progress)
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for stage in stages:
            waiting = {pool.submit(train, run.recipe, run.folder, device=device): run for run in stage}
            for done in as_completed(waiting):
                done.result()
                yield waiting[done]


def in_stages(runs: Sequence[Run]) -> list[list[Run]]:
    """Order runs in groups: if a run is initialized from the checkpoint of another run, it is in a later group.

    Raises:
        InputError: runs are initialized from each other in a circle.
    """
    left, stages = list(runs), []
    while left:
        folders = {run.folder.resolve() for run in left}
        ready = [run for run in left if run.recipe.start.checkpoint is None or _source(run) not in folders]
        if not ready:
            raise InputError(
                f"start.checkpoint: {left[0].system} is initialized from a run that is itself initialized from "
                f"{left[0].system}; change one of the two checkpoints"
            )
        stages.append(ready)
        left = [run for run in left if run not in ready]
    return stages


def _source(run: Run) -> Path:
    """Find the folder of the run whose checkpoint initializes a run."""
    return Path(run.recipe.start.checkpoint or "").resolve().parent
