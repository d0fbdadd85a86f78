"""The training loop: batches, loss, optimizer steps, validation and checkpoints of a run."""

import json
import math
from collections.abc import Callable, Container, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from earmark.core.errors import EarmarkError, InputError, collected, raise_faults
from earmark.core.numbers import finite
from earmark.core.progress import Progress, no_progress
from earmark.training.check import check_writable, find_faults
from earmark.training.recipe import AnyRecipe, check_any_recipe, portable
from earmark.training.run.allocator import keep_freed_memory
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint, state_of
from earmark.training.run.distributed import Processes, find_device, process_group, synchronize_statistics
from earmark.training.run.initialization import freeze, initialize_from
from earmark.training.run.optimizer import build_optimizer, clip_gradients, learning_rate, parameters_of
from earmark.training.run.task import TrainingTask, batch_loss
from earmark.training.sequences.task import SequenceTask
from earmark.training.words.recipe import Recipe
from earmark.training.words.task import build_words_task

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Metrics = dict[str, float]


def build_task(
    recipe: AnyRecipe, device: torch.device, processes: Processes, *, progress: Progress = no_progress
) -> TrainingTask:
    """Build what a recipe of either kind trains: the network with its batches and its validation."""
    if isinstance(recipe, Recipe):
        return build_words_task(recipe, device, processes, progress=progress)
    return SequenceTask(recipe, device, processes, progress=progress)


def train(
    recipe: AnyRecipe,
    folder: Path,
    *,
    device: str | None = None,
    progress: Progress = no_progress,
    build: Callable[..., TrainingTask] = build_task,
) -> Path:
    """Train an encoder, and return the path of the checkpoint that the recipe's key ``choose`` selects.

    Arguments and errors are those of `train_in_steps`.
    """
    for _ in train_in_steps(recipe, folder, device=device, progress=progress, build=build):
        pass
    return chosen_checkpoint(recipe, folder)


def train_in_steps(
    recipe: AnyRecipe,
    folder: Path,
    *,
    device: str | None = None,
    progress: Progress = no_progress,
    build: Callable[..., TrainingTask] = build_task,
) -> Iterator[tuple[int, Metrics]]:
    """Train an encoder, and yield the step and metrics of each checkpoint after it is saved.

    A run that was stopped resumes from its last checkpoint; on a CPU, its result is bitwise the same as without the
    stop. Several processes of `torchrun` share each batch, and compute the same as one process with the whole batch.

    Args:
        recipe: all settings of the run.
        folder: folder of the run, for ``last.safetensors``, ``best.safetensors``, ``log.jsonl`` and ``tensorboard``.
        device: ``cpu``, ``cuda``, …; None for the GPU if there is one.
        progress: counts packed clips and training steps, in the first process.
        build: builds the training task.

    Yields:
        The step and the metrics of each checkpoint, in the first process. The metrics are the mean ``loss`` since the
        previous checkpoint, and those of the validation.

    Raises:
        InputError: torch cannot use the device; or see :func:`check`.
        EarmarkError: the loss is not finite.
    """
    where = find_device(device)
    check(recipe, folder)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    folder.mkdir(parents=True, exist_ok=True)
    if where.type == "cpu":
        keep_freed_memory()
    if not is_finished(recipe, folder):
        with process_group(where) as processes:
            own_progress = progress if processes.is_first else no_progress
            task = build(recipe, where, processes, progress=own_progress)
            yield from _Run(recipe, folder, where, processes, task, own_progress).go()


def check(recipe: AnyRecipe, folder: Path, *, expected: Container[Path] = ()) -> None:
    """Check a recipe, its data and the folder of its run before the training; a finished run needs no data.

    Args:
        recipe: all settings of the run.
        folder: folder of the run.
        expected: checkpoints that another run will write before this run is initialized from them.

    Raises:
        InputError: a key, a file or the folder is wrong; the error lists all faults.
    """
    faults: list[str] = []
    is_done = False
    with collected(faults):
        check_writable(folder)
    with collected(faults):
        is_done = is_finished(recipe, folder)
    if not is_done:
        faults += find_faults(recipe, expected=expected)
    raise_faults(faults)


def is_finished(recipe: AnyRecipe, folder: Path) -> bool:
    """Whether a run has done all its steps or has stopped early.

    Raises:
        InputError: the folder contains a run of another recipe.
    """
    last = _last_checkpoint(recipe, folder)
    return last is not None and (
        last.step >= recipe.optimizer.steps or _stops_early(recipe, last.step, _best(recipe, folder)[1])
    )


def chosen_checkpoint(recipe: AnyRecipe, folder: Path) -> Path:
    """Path of the checkpoint that the recipe's key ``choose`` selects: the best or the last."""
    return folder / f"{recipe.choose}.safetensors"


class _Run:
    """A training run: does the steps of a recipe, and writes checkpoints and logs into its folder."""

    def __init__(
        self,
        recipe: AnyRecipe,
        folder: Path,
        device: torch.device,
        processes: Processes,
        task: TrainingTask,
        progress: Progress,
    ) -> None:
        self.recipe, self.folder, self.device = recipe, folder, device
        self.processes, self.task, self.progress = processes, task, progress
        self.model, self.classes = self.task.model, self.task.classes
        self.objective = recipe.loss.build(classes=len(self.classes), dimension=recipe.encoder.dimension).to(device)
        if recipe.start.checkpoint is not None:
            initialize_from(recipe.start.checkpoint, self.model, self.objective, recipe.loss.kind, self.classes)
        if processes.count > 1:
            synchronize_statistics(self.model)
        self.frozen = freeze(self.model, recipe.start.freeze)
        self.optimizer = build_optimizer(recipe.optimizer, self.model, self.objective)
        self.parameters = parameters_of(self.optimizer)
        self.first = self._resume()
        self.best_cost, self.best_step = _best(recipe, folder)

    def go(self) -> Iterator[tuple[int, Metrics]]:
        """Do the remaining steps, and yield the step and the metrics of each checkpoint in the first process."""
        recipe, steps = self.recipe, self.recipe.optimizer.steps
        losses: list[float] = []
        self.progress(f"training {recipe.name}", self.first, steps)
        with self._board() as board:
            for step in range(self.first, steps):
                if _stops_early(recipe, step, self.best_step):
                    break
                losses.append(self._step(step))
                done = step + 1
                self.progress(f"training {recipe.name} (loss {losses[-1]:.3f})", done, steps)
                if board is not None:
                    board.add_scalar("loss", losses[-1], done)
                    board.add_scalar("learning rate", learning_rate(step, recipe.optimizer), done)
                if done % recipe.checkpoint_every == 0 or done == steps:
                    metrics = self._checkpoint(done, sum(losses) / len(losses), board)
                    losses.clear()
                    if self.processes.is_first:
                        yield done, metrics

    def _step(self, step: int) -> float:
        """Do training step number `step`, and return its loss."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr_scale"] * learning_rate(step, recipe.optimizer)
        # All random numbers of a step depend on the seed and the step only, so that a run can resume at any step.
        generator = torch.Generator().manual_seed(_entropy(recipe.seed, step))
        torch.manual_seed(_entropy(recipe.seed, step, 1 + self.processes.rank))
        self.model.train()
        for module in self.frozen:
            module.eval()
        with torch.autocast(self.device.type, torch.bfloat16, recipe.optimizer.precision == "bfloat16"):
            batch = self.task.batch(step, generator, self.processes)
        loss = batch_loss(batch, self.objective, self.processes)
        value = self.processes.mean(loss).item()
        if not math.isfinite(value):
            raise EarmarkError(f"{recipe.name}: the loss is {value} at step {step}; try a smaller optimizer.lr")
        self.optimizer.zero_grad()
        loss.backward()
        self.processes.average_gradients(self.parameters)
        clip_gradients(self.parameters, recipe.optimizer)
        self.optimizer.step()
        return value

    def _checkpoint(self, done: int, loss: float, board: "SummaryWriter | None") -> Metrics:
        """Validate, and save the checkpoint after `done` steps as `last` and, if it is the best so far, as `best`.

        Args:
            done: number of finished steps.
            loss: mean training loss since the previous checkpoint, for the log.
            board: writer for TensorBoard, or None.

        Returns:
            The loss and the metrics of the validation; empty in all processes but the first.
        """
        metrics: Metrics = {}
        if self.processes.is_first:
            validation = self.task.validate()
            cost = self.recipe.cost(validation)
            # Without validation data, each checkpoint replaces the best one.
            if cost < self.best_cost or not validation:
                self.best_cost, self.best_step = cost, done
                self._save("best", done, validation)
            # Saved after the best: if the run is stopped between both, it repeats these steps and saves the best again.
            self._save("last", done, validation)
            metrics = {"loss": loss} | validation
            self._log(done, metrics, board)
        self.processes.wait()
        if not self.processes.is_first:
            self.best_cost, self.best_step = _best(self.recipe, self.folder)
        return metrics

    def _log(self, done: int, metrics: Metrics, board: "SummaryWriter | None") -> None:
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(finite({"step": done} | metrics), allow_nan=False) + "\n")
        if board is not None:
            for name, value in metrics.items():
                board.add_scalar(f"checkpoint/{name}", value, done)

    def _save(self, name: str, done: int, metrics: Metrics) -> None:
        tensors = state_of(self.model, self.objective, self.optimizer)
        state = Checkpoint(self.recipe.model_dump(mode="json"), done, metrics, tensors, self.classes)
        save_checkpoint(self.folder / f"{name}.safetensors", state)

    def _resume(self) -> int:
        """Load the run's last checkpoint, if there is one, and return the number of steps that are already done."""
        last = _last_checkpoint(self.recipe, self.folder)
        if last is None:
            return 0
        restore(last.tensors, self.model, self.objective, self.optimizer)
        return last.step

    def _board(self) -> "SummaryWriter | nullcontext[None]":
        if not self.processes.is_first:
            return nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.first + 1)


def _entropy(*numbers: int) -> int:
    """Hash several numbers to one seed for a random generator; other numbers give an independent seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _last_checkpoint(recipe: AnyRecipe, folder: Path) -> Checkpoint | None:
    """Load the checkpoint that a run resumes from; None if its folder has no checkpoint yet.

    Raises:
        InputError: the folder contains a run of another recipe.
    """
    path = folder / "last.safetensors"
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    if portable(check_any_recipe(checkpoint.recipe, str(path))) != portable(recipe):
        raise InputError(
            f"{folder}: the folder contains a run of another recipe; choose another folder, or delete this one"
        )
    return checkpoint


def _stops_early(recipe: AnyRecipe, step: int, best_step: int) -> bool:
    """Whether a run stops at a step, because the last ``stop_after`` checkpoints were not better than `best_step`."""
    patience = recipe.stop_after * recipe.checkpoint_every
    return bool(patience) and step % recipe.checkpoint_every == 0 and step - best_step >= patience


def _best(recipe: AnyRecipe, folder: Path) -> tuple[float, int]:
    """Read the cost (the metric to minimize) and the step of a run's best checkpoint; infinity and 0 without one."""
    path = folder / "best.safetensors"
    if not path.exists():
        return math.inf, 0
    checkpoint = load_checkpoint(path)
    return recipe.cost(checkpoint.metrics), checkpoint.step
