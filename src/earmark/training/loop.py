"""The training loop: recipe → batch → encoder → loss → step, on one page."""

import json
import math
from collections.abc import Callable, Container
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from earmark.core.errors import EarmarkError, InputError, collected, raise_faults
from earmark.core.numbers import finite
from earmark.training.check import check_writable, find_faults
from earmark.training.recipe import AnyRecipe, check_any_recipe, portable
from earmark.training.run.allocator import keep_freed_memory
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint, state_of
from earmark.training.run.distributed import Processes, local_device, process_group, synchronize_statistics
from earmark.training.run.initialization import freeze, initialize_from
from earmark.training.run.optimizer import build_optimizer, clip_gradients, learning_rate, parameters_of
from earmark.training.run.progress import step_bar
from earmark.training.run.task import TrainingTask, batch_loss
from earmark.training.sequences.task import SequenceTask
from earmark.training.words.recipe import Recipe
from earmark.training.words.task import build_words_task

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Report = Callable[[int, dict[str, float]], None]


def train(recipe: AnyRecipe, folder: Path, *, device: str | None = None, report: Report | None = None) -> Path:
    """Train an encoder; a run that was stopped goes on from its last checkpoint, to the same bits on a CPU.

    Started by `torchrun`, the processes share out each batch and compute what one process with that batch would.

    Args:
        recipe: all settings.
        folder: the run's folder: ``last.safetensors``, ``best.safetensors``, ``log.jsonl``, ``tensorboard``.
        device: ``cpu``, ``cuda``, …; default: what is there.
        report: called with the step and the numbers of each line of the log.

    Returns:
        The checkpoint that the recipe chooses: the best by its validation, or the last.

    Raises:
        InputError: as :func:`check` says.
        EarmarkError: the loss is no longer finite.
    """
    check(recipe, folder, device=device)
    where = _device(device)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    folder.mkdir(parents=True, exist_ok=True)
    if where.type == "cpu":
        keep_freed_memory()
    if not is_finished(recipe, folder):
        with process_group(where) as processes:
            _Run(recipe, folder, where, processes).go(report)
    return folder / f"{recipe.choose}.safetensors"


def check(recipe: AnyRecipe, folder: Path, *, device: str | None = None, expected: Container[Path] = ()) -> None:
    """Check all that can be checked before any work; of a run that is finished, nothing else is wanted.

    Args:
        recipe: all settings.
        folder: the run's folder.
        device: ``cpu``, ``cuda``, …; default: what is there.
        expected: checkpoints that are not there yet, and will be before the run starts from them.

    Raises:
        InputError: something is missing, broken or does not fit; every fault is in it.
    """
    faults: list[str] = []
    is_done = False
    with collected(faults):
        _device(device)
    with collected(faults):
        check_writable(folder)
    with collected(faults):
        is_done = is_finished(recipe, folder)
    if not is_done:
        faults += find_faults(recipe, expected=expected)
    raise_faults(faults)


def is_finished(recipe: AnyRecipe, folder: Path) -> bool:
    """Whether all steps of a run are done, or it has ended early.

    Raises:
        InputError: the folder holds another recipe's run.
    """
    last = _last_of(recipe, folder)
    return last is not None and (
        last.step >= recipe.optimizer.steps or _has_waited(recipe, last.step, _best_so_far(recipe, folder)[1])
    )


def build_task(recipe: AnyRecipe, device: torch.device, processes: Processes) -> TrainingTask:
    """Build the training task of a recipe."""
    if isinstance(recipe, Recipe):
        return build_words_task(recipe, device, processes)
    return SequenceTask(recipe, device, processes)


class _Run:
    """Everything that a step needs, made once."""

    def __init__(self, recipe: AnyRecipe, folder: Path, device: torch.device, processes: Processes) -> None:
        self.recipe, self.folder, self.device, self.processes = recipe, folder, device, processes
        self.task = build_task(recipe, device, processes)
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
        self.least, self.best_step = _best_so_far(recipe, folder)

    def go(self, report: Report | None) -> None:
        """Take all steps that are left."""
        recipe, losses = self.recipe, []
        with step_bar(self.processes.is_first) as progress, self._board() as board:
            task = progress.add_task(recipe.name, total=recipe.optimizer.steps, completed=self.first, loss=math.nan)
            for step in range(self.first, recipe.optimizer.steps):
                if _has_waited(recipe, step, self.best_step):
                    break
                losses.append(self._step(step))
                progress.update(task, advance=1, loss=losses[-1])
                if board is not None:
                    board.add_scalar("loss", losses[-1], step + 1)
                    board.add_scalar("learning rate", learning_rate(step, recipe.optimizer), step + 1)
                done = step + 1
                if done % recipe.checkpoint_every == 0 or done == recipe.optimizer.steps:
                    self._checkpoint(done, sum(losses) / len(losses), board, report)
                    losses.clear()

    def _step(self, step: int) -> float:
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr_scale"] * learning_rate(step, recipe.optimizer)
        # Every draw of a step follows from the seed and the step, so that a run can stop and go on anywhere.
        generator = torch.Generator().manual_seed(_entropy(recipe.seed, step))
        torch.manual_seed(_entropy(recipe.seed, step, 1 + self.processes.rank))
        self.model.train()
        for part in self.frozen:
            part.eval()
        loss, told = self._loss(step, generator)
        if not math.isfinite(told):
            raise EarmarkError(f"{recipe.name}: the loss is {told} at step {step}; try a smaller optimizer.lr")
        self.optimizer.zero_grad()
        loss.backward()
        self.processes.average_gradients(self.parameters)
        clip_gradients(self.parameters, recipe.optimizer)
        self.optimizer.step()
        return told

    def _loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, float]:
        """The loss to follow down, and its value over all processes."""
        with torch.autocast(self.device.type, torch.bfloat16, self.recipe.optimizer.precision == "bfloat16"):
            batch = self.task.batch(step, generator, self.processes)
        loss = batch_loss(batch, self.objective, self.processes)
        return loss, self.processes.mean(loss).item()

    def _checkpoint(self, done: int, loss: float, board: "SummaryWriter | None", report: Report | None) -> None:
        if self.processes.is_first:
            numbers = self.task.validate()
            cost = self.recipe.cost(numbers)
            # Where nothing is measured, the last checkpoint is the best.
            if cost < self.least or not numbers:
                self.least, self.best_step = cost, done
                self._save("best", done, numbers)
            # Last of all: a run that is stopped in between does these steps again and writes the best again.
            self._save("last", done, numbers)
            self._tell(done, {"loss": loss} | numbers, board, report)
        self.processes.wait()
        if not self.processes.is_first:
            self.least, self.best_step = _best_so_far(self.recipe, self.folder)

    def _tell(self, done: int, numbers: dict[str, float], board: "SummaryWriter | None", report: Report | None) -> None:
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(finite({"step": done} | numbers), allow_nan=False) + "\n")
        if board is not None:
            for name, number in numbers.items():
                board.add_scalar(f"checkpoint/{name}", number, done)
        if report is not None:
            report(done, numbers)

    def _save(self, name: str, done: int, numbers: dict[str, float]) -> None:
        tensors = state_of(self.model, self.objective, self.optimizer)
        state = Checkpoint(self.recipe.model_dump(mode="json"), done, numbers, tensors, self.classes)
        save_checkpoint(self.folder / f"{name}.safetensors", state)

    def _resume(self) -> int:
        last = _last_of(self.recipe, self.folder)
        if last is None:
            return 0
        restore(last.tensors, self.model, self.objective, self.optimizer)
        return last.step

    def _board(self) -> "SummaryWriter | nullcontext[None]":
        if not self.processes.is_first:
            return nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.first + 1)


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(local_device(name or ("cuda" if torch.cuda.is_available() else "cpu")))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"--device {name}: torch cannot use it here ({str(error).splitlines()[0]})") from None
    return device


def _entropy(*numbers: int) -> int:
    """A seed for each tuple of numbers, related to no other's."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _last_of(recipe: AnyRecipe, folder: Path) -> Checkpoint | None:
    """Where the run goes on, if it has begun."""
    path = folder / "last.safetensors"
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    if portable(check_any_recipe(checkpoint.recipe, str(path))) != portable(recipe):
        raise InputError(f"{folder}: holds a run of another recipe; choose another --run folder, or remove this one")
    return checkpoint


def _has_waited(recipe: AnyRecipe, step: int, best_step: int) -> bool:
    """Whether the validation has not become better for as many checkpoints as the recipe waits."""
    patience = recipe.stop_after * recipe.checkpoint_every
    return bool(patience) and step % recipe.checkpoint_every == 0 and step - best_step >= patience


def _best_so_far(recipe: AnyRecipe, folder: Path) -> tuple[float, int]:
    """The least cost, and after which step it was measured."""
    path = folder / "best.safetensors"
    if not path.exists():
        return math.inf, 0
    checkpoint = load_checkpoint(path)
    return recipe.cost(checkpoint.metrics), checkpoint.step
