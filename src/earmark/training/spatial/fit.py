"""One loop for small networks over arrays: shuffled batches, Keras's optimizers, and an early end."""

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

Loss = Callable[[Tensor], Tensor]
"""The mean loss of the examples whose numbers it is given, shape (batch,) int64."""

_AT_ONCE = 4096
_EPSILON = 1e-7


class FitSettings(Settings):
    """How a network learns. Rates and constants are Keras's defaults where the paper says nothing."""

    optimizer: Literal["adamax", "nadam"] = Field("adamax", description="which one")
    lr: float = Field(1e-3, gt=0, description="its rate")
    batch: int = Field(32, ge=2, description="examples in a step")
    epochs: int = Field(500, ge=1, description="most times that every example is seen")
    patience: int = Field(5, ge=1, description="epochs without a lower loss after which learning ends")
    validation: float = Field(
        0.0, ge=0, lt=1, description="share of the examples, drawn by chance, whose loss says when to end; 0: all teach"
    )
    keep_best: bool = Field(
        False, description="go back to the weights of the epoch with the lowest loss; as published: keep the last"
    )


@dataclass(frozen=True)
class History:
    """How a network learned.

    Attributes:
        loss: mean over each epoch's batches.
        validation: of the examples held out, after each epoch; empty where none were.
    """

    loss: tuple[float, ...]
    validation: tuple[float, ...]


def fit(
    network: nn.Module,
    loss: Loss,
    count: int,
    settings: FitSettings,
    generator: torch.Generator,
    on_epoch: Callable[[int, float], object] = lambda *_: None,
) -> History:
    """Teach a network, which is in evaluation mode afterward.

    Args:
        network: its parameters learn.
        loss: of examples, by their numbers.
        count: how many examples there are.
        settings: how it learns.
        generator: of the examples held out, of their order and of dropout.
        on_epoch: told the number of epochs done and the loss that decides.

    Raises:
        InputError: too few examples.
        EarmarkError: the loss is no number any more.
    """
    order = torch.randperm(count, generator=generator)
    held_out = order[count - round(settings.validation * count) :]
    learning = order[: count - len(held_out)]
    if len(learning) < 2:
        raise InputError(f"{count} examples, of which {len(held_out)} validate, leave too few to learn from; give more")
    steps: dict[str, type[torch.optim.Optimizer]] = {"adamax": torch.optim.Adamax, "nadam": torch.optim.NAdam}
    # All parameters in one go: a fifth less of the step than one after another.
    optimizer = steps[settings.optimizer](  # type: ignore[call-arg]
        network.parameters(), lr=settings.lr, eps=_EPSILON, foreach=True
    )
    losses: list[float] = []
    validation: list[float] = []
    best, best_epoch, kept = math.inf, 0, copy.deepcopy(network.state_dict())
    with seeded(generator):
        for epoch in range(1, settings.epochs + 1):
            shuffled = learning[torch.randperm(len(learning), generator=generator)]
            network.train()
            losses.append(_learn(loss, shuffled.split(settings.batch), optimizer))
            if len(held_out):
                network.eval()
                validation.append(_mean(loss, held_out))
            watched = validation[-1] if len(held_out) else losses[-1]
            on_epoch(epoch, watched)
            if watched < best:
                best, best_epoch = watched, epoch
                if settings.keep_best:
                    kept = copy.deepcopy(network.state_dict())
            if not math.isfinite(watched):
                raise EarmarkError(
                    f"the loss is {watched} after {epoch} epochs; lower the rate (lr), or look at the data"
                )
            if epoch - best_epoch >= settings.patience:
                break
    if settings.keep_best:
        network.load_state_dict(kept)
    network.eval()
    return History(tuple(losses), tuple(validation))


def _learn(loss: Loss, batches: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> float:
    """One epoch; the mean over its examples of the loss that they had when it was their turn."""
    total, seen = torch.zeros(()), 0
    for rows in batches:
        if len(rows) < 2:
            continue  # batch normalization has nothing to say about one example
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
    """What is drawn inside without a generator, such as first weights and dropout, is this generator's draw too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        yield
