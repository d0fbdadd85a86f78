"""Optimizers, learning-rate schedules and gradient clipping."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal, Self

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import nn

from earmark.core.config import Settings
from earmark.training.run.initialization import get_submodule


class OptimizerSettings(Settings):
    """Settings of the optimizer, its learning rate and number of steps, and the precision of the encoder."""

    kind: Literal["adamw", "adam", "sgd"] = Field("adamw", description="optimizer")
    steps: int = Field(1000, ge=1, description="number of training steps")
    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    lr_scale: dict[str, PositiveFloat] = Field(
        {}, description="factors of the learning rate for modules of the encoder, named as in `start.freeze`"
    )
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps with a linear warm-up")
    schedule: Literal["cosine", "step", "constant"] = Field(
        "cosine", description="learning rate after the warm-up: half a cosine down to zero, decay in steps, or constant"
    )
    decay: float = Field(
        0.95, gt=0, le=1, description="factor of the learning rate at each decay of the schedule `step`"
    )
    decay_every: int = Field(
        0, ge=0, description="number of training steps between decays; the schedule `step` needs it"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(1e-2, ge=0, description="weight decay")
    clip_norm: float = Field(5.0, ge=0, description="maximum norm of the gradient; 0: no clipping")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="precision of the encoder; the loss is computed in float32"
    )

    @model_validator(mode="after")
    def _has_steps(self) -> Self:
        if self.schedule == "step" and not self.decay_every:
            raise ValueError(
                "decay_every: the schedule 'step' needs the number of steps between decays; set decay_every"
            )
        return self

    def __hash__(self) -> int:  # runs are keys of dicts, and the field lr_scale is not hashable
        return hash(self.model_dump_json())


def build_optimizer(settings: OptimizerSettings, model: nn.Module, loss: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer for all parameters of the model and the loss that are not frozen.

    Weight decay applies to weight matrices and kernels only, not to biases, normalization scales, or the scale and bias
    of the loss. Each parameter group has a key ``lr_scale``, the factor of its learning rate.

    Raises:
        InputError: ``lr_scale`` names a module that the encoder does not have.
    """
    scale_of = _scales(settings.lr_scale, model)
    trainable = [parameter for parameter in (*model.parameters(), *loss.parameters()) if parameter.requires_grad]
    groups = [
        {
            "params": [one for one in trainable if scale_of.get(one, 1.0) == scale and (one.dim() > 1) == is_weight],
            "weight_decay": settings.weight_decay if is_weight else 0.0,
            "lr": scale * settings.lr,
            "lr_scale": scale,
        }
        # Checkpoints store the optimizer's state by parameter numbers, which depend on this order.
        for scale in dict.fromkeys((1.0, *settings.lr_scale.values()))
        for is_weight in (True, False)
    ]
    match settings.kind:
        case "adamw":
            return torch.optim.AdamW(groups, lr=settings.lr)
        case "adam":
            return torch.optim.Adam(groups, lr=settings.lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)


def _scales(scales: Mapping[str, float], model: nn.Module) -> dict[nn.Parameter, float]:
    """Find the factor of the learning rate for each parameter of some modules of a model.

    Args:
        scales: factors by name of the module; for nested modules, the factor of the innermost one applies.
        model: the model.
    """
    found: dict[nn.Parameter, float] = {}
    for name, scale in sorted(scales.items(), key=lambda item: len(item[0])):
        found |= dict.fromkeys(get_submodule(model, name, "optimizer.lr_scale").parameters(), scale)
    return found


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """List the parameters of all groups of an optimizer."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def learning_rate(step: int, settings: OptimizerSettings) -> float:
    """Compute the learning rate of a training step, counted from 0: a linear warm-up, then the schedule."""
    rise = max(1, round(settings.warmup * settings.steps)) if settings.warmup else 0
    if step < rise:
        return settings.lr * (step + 1) / rise
    match settings.schedule:
        case "cosine":
            return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, settings.steps - rise)))
        case "step":
            return float(settings.lr * settings.decay ** ((step - rise) // settings.decay_every))
        case "constant":
            return settings.lr


def clip_gradients(parameters: Iterable[nn.Parameter], settings: OptimizerSettings) -> None:
    """Scale the gradients of parameters, so that their total norm is at most ``clip_norm``; 0 changes nothing."""
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
