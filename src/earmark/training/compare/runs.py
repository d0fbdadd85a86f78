"""The training runs of a comparison: every recipe with every encoder and every seed, a few at a time."""

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from earmark.core.config import own_table
from earmark.core.errors import InputError, collected, raise_faults
from earmark.training.loop import check, train
from earmark.training.words.corpus import prepare_corpus, validation_bank
from earmark.training.words.recipe import Recipe, read_recipe


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        system: what is compared: the recipe's name, and the encoder's where there are several.
        seed: which of the system's runs this is.
        recipe: what is trained.
        folder: where.
    """

    system: str
    seed: int
    recipe: Recipe
    folder: Path


def recipes_in(path: Path) -> list[Path]:
    """The recipes that a path stands for: itself, or of a folder all that no other recipe there extends.

    Raises:
        InputError: a folder without recipes.
    """
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.toml"))
    extended = {(path / str(own_table(recipe).get("extends", ""))).resolve() for recipe in found}
    if not found:
        raise InputError(f"{path}: no recipe (.toml) in this folder")
    return [recipe for recipe in found if recipe.resolve() not in extended]


def plan_runs(
    recipes: Iterable[Path], seeds: Sequence[int], out: Path, *, encoders: Sequence[Path] = (), sets: Sequence[str] = ()
) -> list[Run]:
    """Every run of the grid: recipes × encoders × seeds.

    Args:
        recipes: recipe files, or folders of them; each one's ``name`` names the system.
        seeds: each gives a run of every system.
        out: the runs' folders go below it, ``SYSTEM/seedN``.
        encoders: files that are laid over each recipe, such as one with a table ``[encoder]``.
        sets: ``key=value`` for all.

    Raises:
        InputError: two recipes of one name, or one that cannot be read.
    """
    runs: list[Run] = []
    faults: list[str] = []
    named: dict[str, Path] = {}
    for path in [recipe for given in recipes for recipe in recipes_in(given)]:
        for encoder in encoders or (None,):
            for seed in seeds:
                with collected(faults):
                    recipe = read_recipe(path, [*sets, f"seed={seed}"], over=encoder)
                if faults:
                    continue
                system = recipe.name if encoder is None else f"{recipe.name} {encoder.stem}"
                if named.setdefault(recipe.name, path) != path:
                    raise InputError(f"{path}: its name is {recipe.name!r}, and so is that of {named[recipe.name]}")
                runs.append(Run(system, seed, recipe, out / system.replace(" ", "+") / f"seed{seed}"))
    raise_faults(faults)
    if not runs:
        raise InputError("compare: no recipe and seed to train")
    return runs


def check_runs(runs: Sequence[Run], *, device: str | None = None) -> None:
    """Check all that can be checked before the first training.

    Args:
        runs: from :func:`plan_runs`; one may start from another's checkpoint, which is not there yet.
        device: ``cpu``, ``cuda``, …; default: what is there.

    Raises:
        InputError: something is missing, broken or does not fit; every fault of every run is in it.
    """
    expected = {run.folder.resolve() / f"{name}.safetensors" for run in runs for name in ("best", "last")}
    faults: list[str] = []
    for run in runs:
        found: list[str] = []
        with collected(found):
            check(run.recipe, run.folder, device=device, expected=expected)
        faults += [f"{run.system}: {fault}" for fault in found]
    raise_faults(faults)


def train_runs(
    runs: Sequence[Run], *, device: str | None = None, jobs: int = 1, on_done: Callable[[Run], object] = lambda _: None
) -> None:
    """Train what is not trained yet; a run that was stopped goes on.

    Args:
        runs: from :func:`plan_runs`; one that starts from another's checkpoint comes after it.
        device: ``cpu``, ``cuda``, …; default: what is there.
        jobs: trainings at a time, each a process of its own.
        on_done: told after each run.
    """
    stages = in_stages(runs)
    if jobs == 1:
        for run in [run for stage in stages for run in stage]:
            train(run.recipe, run.folder, device=device)
            on_done(run)
        return
    for recipe in {run.recipe.data.model_dump_json() + run.recipe.scenes.kind: run.recipe for run in runs}.values():
        # Packed here, so that no two processes pack one folder at a time.
        prepare_corpus(recipe)
        validation_bank(recipe)
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for stage in stages:
            waiting = {pool.submit(train, run.recipe, run.folder, device=device): run for run in stage}
            for done in as_completed(waiting):
                done.result()
                on_done(waiting[done])


def in_stages(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs in groups, each of which starts from no checkpoint of its own or a later group.

    Raises:
        InputError: runs that wait for each other.
    """
    left, stages = list(runs), []
    while left:
        folders = {run.folder.resolve() for run in left}
        ready = [run for run in left if run.recipe.start.checkpoint is None or _home(run) not in folders]
        if not ready:
            raise InputError(f"compare: {left[0].system} starts from a checkpoint that waits for its own")
        stages.append(ready)
        left = [run for run in left if run not in ready]
    return stages


def _home(run: Run) -> Path:
    """The folder of the checkpoint that a run starts from."""
    return Path(run.recipe.start.checkpoint or "").resolve().parent
