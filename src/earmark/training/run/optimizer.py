"""Optimizers, and how the learning rate goes over a run."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator
from torch import nn

from earmark.training.run.initialization import part_of


class OptimizerSettings(BaseModel):
    """What moves the weights, and how far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["adamw", "adam", "sgd"] = Field("adamw", description="which optimizer")
    steps: int = Field(1000, ge=1, description="training steps")
    lr: float = Field(2e-3, gt=0, description="highest learning rate")
    lr_scale: dict[str, PositiveFloat] = Field(
        {}, description="parts of the encoder, named as in `start.freeze`, and what the rate is multiplied with there"
    )
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps in which the rate rises")
    schedule: Literal["cosine", "step", "constant"] = Field(
        "cosine", description="the rate after the warm-up: half a cosine down to zero, in steps, or as it is"
    )
    decay: float = Field(0.95, gt=0, le=1, description="what a step of the schedule `step` multiplies the rate with")
    decay_every: int = Field(0, ge=0, description="training steps between two of those; needed by the schedule `step`")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(1e-2, ge=0, description="how fast weights shrink that nothing holds up")
    clip_norm: float = Field(5.0, ge=0, description="largest norm of the gradient; 0: any")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the encoder; the loss is in float32")

    @model_validator(mode="after")
    def _has_steps(self) -> Self:
        if self.schedule == "step" and not self.decay_every:
            raise ValueError("decay_every: the schedule 'step' needs to know after how many steps the rate falls")
        return self

    def __hash__(self) -> int:  # a table has none, and recipes tell runs apart
        return hash(self.model_dump_json())


def build_optimizer(settings: OptimizerSettings, model: nn.Module, loss: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over all parameters that are learned.

    Weights decay; biases, scales of normalizations and the loss's scale and bias do not: nothing would be gained by
    drawing those to zero. Of each group of parameters ``lr_scale`` says what the rate is multiplied with.

    Raises:
        InputError: a rate for a part that the encoder does not have.
    """
    scale_of = _scales(settings.lr_scale, model)
    learned = [parameter for parameter in (*model.parameters(), *loss.parameters()) if parameter.requires_grad]
    groups = [
        {
            "params": [one for one in learned if scale_of.get(one, 1.0) == scale and (one.dim() > 1) == is_weight],
            "weight_decay": settings.weight_decay if is_weight else 0.0,
            "lr": scale * settings.lr,
            "lr_scale": scale,
        }
        # Without scales two groups in this order: checkpoints number parameters by it.
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
    """The scale of each parameter in a named part; of a part inside another its own counts."""
    found: dict[nn.Parameter, float] = {}
    for name, scale in sorted(scales.items(), key=lambda item: len(item[0])):
        found |= dict.fromkeys(part_of(model, name, "optimizer.lr_scale").parameters(), scale)
    return found


def learned_by(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """All parameters of an optimizer."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def learning_rate(step: int, settings: OptimizerSettings) -> float:
    """The rate of a step, counted from 0: linear warm-up, then the schedule."""
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
    """Shorten the gradient to the largest norm that is allowed."""
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
