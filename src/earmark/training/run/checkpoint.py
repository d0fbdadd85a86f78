"""Checkpoints of training runs: safetensors files with all other data as JSON metadata. Nothing is unpickled."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.core.files import atomic_path
from earmark.core.renamed_keys import with_current_names


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training run after a step: recipe, metrics and tensors.

    Attributes:
        recipe: the resolved recipe, as JSON values.
        step: number of finished steps.
        metrics: metrics of the validation after these steps, by name.
        tensors: tensors of model, loss and optimizer, whose names begin with ``model.``, ``loss.`` or ``optimizer.``.
        classes: names of the classes of the loss, in the order of their numbers.
    """

    recipe: dict[str, Any]
    step: int
    metrics: dict[str, float]
    tensors: dict[str, Tensor]
    classes: tuple[str, ...] = ()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; metrics that are not finite are left out."""
    meta = {
        "recipe": checkpoint.recipe,
        "step": checkpoint.step,
        "metrics": {name: value for name, value in checkpoint.metrics.items() if math.isfinite(value)},
        "classes": checkpoint.classes,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    with atomic_path(path) as draft:
        save_file(tensors, draft, metadata={"earmark": json.dumps(meta, allow_nan=False)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; keys that have been renamed since it was written get their current names.

    Raises:
        InputError: the file does not exist, or is not a checkpoint of earmark.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})["earmark"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        tensors = {name.replace("optimiser.", "optimizer.", 1): tensor for name, tensor in tensors.items()}
        recipe = with_current_names(meta["recipe"])
        return Checkpoint(recipe, meta["step"], meta["metrics"], tensors, tuple(meta.get("classes", ())))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a checkpoint of earmark train ({error}); name a .safetensors file of a run"
        ) from None


def state_of(model: nn.Module, loss: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copy the tensors of model, loss and optimizer that a run needs to resume, by name."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"loss.{name}": tensor for name, tensor in loss.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items() if value is not None}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def restore(
    tensors: Mapping[str, Tensor], model: nn.Module, loss: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Load the tensors of :func:`state_of` into model, loss and optimizer."""
    load_weights(model, strip_prefix(tensors, "model."))
    load_weights(loss, strip_prefix(tensors, "loss."))
    if optimizer is not None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in strip_prefix(tensors, "optimizer.").items():
            number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors into a module; the names and shapes must be those of the module.

    Raises:
        InputError: names or shapes differ from those of the module.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        problem = str(error).splitlines()[-1].strip()
        raise InputError(
            f"checkpoint: the tensors do not fit the network of this version of earmark ({problem}); train from scratch"
        ) from None


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors whose names begin with the prefix, and remove the prefix."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
