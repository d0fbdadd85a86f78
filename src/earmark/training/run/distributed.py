"""Training in several processes, as `torchrun` starts them: each embeds its share of one batch.

The loss compares all embeddings of a batch with each other. So they are gathered, gradients flowing through, and each
process computes the loss of the whole batch: the same numbers as one process with that batch would see.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from earmark.core.errors import InputError

# The first process may pack a large corpus while the others wait for it.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Processes:
    """Which of how many this process is.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """The first process writes files; the others only compute."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """The rows of a batch that are this process's.

        Raises:
            InputError: they cannot be shared out evenly.
        """
        if rows % self.count:
            raise InputError(f"episodes: {rows} clips a batch cannot be shared out among {self.count} processes evenly")
        size = rows // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes in their order; gradients flow back to each."""
        return rows if self.count == 1 else _Gather.apply(rows)  # type: ignore[no-untyped-call]

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Give every process the mean of all gradients.

        `gather` sends to each share the sum of what every process wants of it, and all want the same; the mean takes
        that factor away again.
        """
        if self.count == 1:
            return
        flat = torch.cat([_gradient(parameter).flatten() for parameter in parameters])
        dist.all_reduce(flat)
        flat /= self.count
        sizes = [parameter.numel() for parameter in parameters]
        for parameter, part in zip(parameters, flat.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def mean(self, value: Tensor) -> Tensor:
        """The mean of one number over all processes, without gradients."""
        if self.count > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
            value /= self.count
        return value

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """What is inside runs in the first process before it runs in the others: files are made once."""
        if self.count > 1 and not self.is_first:
            dist.barrier()
        yield
        if self.count > 1 and self.is_first:
            dist.barrier()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


def started() -> Processes:
    """This process among those that `torchrun` started together, before they join."""
    return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that `torchrun` started together with this one; alone, when it did not."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=_PATIENCE, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this is the only process, or the first of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def own_device(name: str) -> str:
    """The device of this process: of several on one machine, each takes its own GPU."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if name == "cuda" and "LOCAL_RANK" in os.environ else name


def single_or_double(x: Tensor) -> Tensor:
    """At least single precision: bfloat16 becomes float32, float64 stays.

    >>> single_or_double(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def synchronize_statistics(module: nn.Module) -> None:
    """Make batch normalization measure the whole batch, not only this process's share of it, on any device."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, _Synchronized(child))
        else:
            synchronize_statistics(child)


class _Synchronized(nn.Module):
    """Batch normalization over the equal shares of all processes.

    torch's SyncBatchNorm does the same on CUDA only.
    """

    # The parameters and buffers keep their names: checkpoints do not depend on the number of processes.
    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps, self.momentum = norm.eps, norm.momentum
        for name in ("weight", "bias"):
            self.register_parameter(name, getattr(norm, name))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, channels, …), normalized with the statistics of all processes."""
        if not self.training and self.running_mean is not None:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        processes = dist.get_world_size()
        with torch.autocast(x.device.type, enabled=False):
            values = single_or_double(x)
            mean = _Sum.apply(values.mean(axes)) / processes  # type: ignore[no-untyped-call]
            # The mean is subtracted before squaring: the difference of two large squares would lose all digits.
            centered = values - mean.view(shape)
            variance = _Sum.apply(centered.square().mean(axes)) / processes  # type: ignore[no-untyped-call]
            if self.training:
                self._update_statistics(mean, variance, values.numel() // values.shape[1] * processes)
            normal = centered * (variance.view(shape) + self.eps).rsqrt()
            if self.weight is not None and self.bias is not None:
                normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), share)


class _Gather(torch.autograd.Function):
    """The rows of all processes; backward, each gets the sum of what all want of its own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.size = len(rows)
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        own = dist.get_rank() * ctx.size
        return total[own : own + ctx.size]


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        del ctx
        total = value.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        del ctx
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
