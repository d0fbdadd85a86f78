"""Training loop for small networks on arrays, with shuffled batches, the optimizers of Keras, and early stopping."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.config import Settings
from earmark.core.errors import EarmarkError, InputError
from earmark.core.progress import Progress, no_progress

Loss = Callable[[Tensor], Tensor]
"""A function that maps numbers of examples, shape (batch,) int64, to their mean loss."""

_AT_ONCE = 4096
_EPSILON = 1e-7


class FitSettings(Settings):
    """Settings of a training: optimizer and early stopping; Keras' defaults where the paper gives no value."""

    optimizer: Literal["adamax", "nadam"] = Field("adamax", description="optimizer")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    batch: int = Field(32, ge=2, description="batch size")
    epochs: int = Field(500, ge=1, description="maximum number of epochs")
    patience: int = Field(5, ge=1, description="early stopping: number of epochs without a lower loss")
    validation: float = Field(
        0.0, ge=0, lt=1, description="share of random examples held out for early stopping; 0: none"
    )
    keep_best: bool = Field(
        False, description="keep the weights of the epoch with the lowest loss, instead of the last epoch (published)"
    )


@dataclass(frozen=True)
class History:
    """The losses of a training, epoch by epoch.

    Attributes:
        loss: mean loss of the training examples in each epoch.
        validation: mean loss of the held-out examples after each epoch; empty without held-out examples.
    """

    loss: tuple[float, ...]
    validation: tuple[float, ...]


def fit(
    network: nn.Module,
    loss: Loss,
    count: int,
    settings: FitSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
) -> History:
    """Train a network on shuffled batches of examples, with early stopping; afterwards, it is in evaluation mode.

    Args:
        network: network to train.
        loss: computes the mean loss of examples from their numbers.
        count: number of examples.
        settings: optimizer and early stopping.
        generator: random generator for held-out examples, the order of examples, and dropout.
        progress: counts epochs.

    Raises:
        InputError: there are too few examples.
        EarmarkError: the loss is not finite.
    """
    order = torch.randperm(count, generator=generator)
    held_out = order[count - round(settings.validation * count) :]
    training = order[: count - len(held_out)]
    if len(training) < 2:
        raise InputError(
            f"{count} examples, of which {len(held_out)} are held out, are too few for training; add examples"
        )
    optimizer = _optimizer(network, settings)
    losses: list[float] = []
    validation: list[float] = []
    best, best_epoch, kept = math.inf, 0, copy.deepcopy(network.state_dict())
    with seeded(generator):
        for epoch in range(1, settings.epochs + 1):
            shuffled = training[torch.randperm(len(training), generator=generator)]
            network.train()
            losses.append(_train_epoch(loss, shuffled.split(settings.batch), optimizer))
            if len(held_out):
                network.eval()
                validation.append(_mean(loss, held_out))
            watched = validation[-1] if len(held_out) else losses[-1]
            progress(f"training (loss {watched:.4g})", epoch, settings.epochs)
            if watched < best:
                best, best_epoch = watched, epoch
                if settings.keep_best:
                    kept = copy.deepcopy(network.state_dict())
            if not math.isfinite(watched):
                raise EarmarkError(
                    f"lr: the loss is {watched} after {epoch} epochs; lower lr, the learning rate, or check the data"
                )
            if epoch - best_epoch >= settings.patience:
                break
    if settings.keep_best:
        network.load_state_dict(kept)
    network.eval()
    return History(tuple(losses), tuple(validation))


def _optimizer(network: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    kinds: dict[str, type[torch.optim.Optimizer]] = {"adamax": torch.optim.Adamax, "nadam": torch.optim.NAdam}
    # With `foreach`, a step takes a fifth less time.
    return kinds[settings.optimizer](  # type: ignore[call-arg]
        network.parameters(), lr=settings.lr, eps=_EPSILON, foreach=True
    )


def _train_epoch(loss: Loss, batches: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> float:
    """Do one optimizer step per batch of an epoch, and return the mean loss of the epoch's examples."""
    total, seen = torch.zeros(()), 0
    for rows in batches:
        if len(rows) < 2:
            continue  # batch normalization needs two examples
        value = loss(rows)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        total += value.detach() * len(rows)
        seen += len(rows)
    return float(total) / seen


@torch.no_grad()
def _mean(loss: Loss, rows: Tensor) -> float:
    return sum(float(loss(some)) * len(some) for some in rows.split(_AT_ONCE)) / len(rows)


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's global random generator from `generator` for the block, which draws initial weights or dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        yield
