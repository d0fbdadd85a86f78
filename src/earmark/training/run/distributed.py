"""Distributed training by `torchrun`: each process embeds its share of one batch.

The loss compares all embeddings of a batch with each other. Therefore the embeddings are gathered with their gradients,
and each process computes the loss of the whole batch. The result is the same as in one process with that batch.
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
from earmark.training.nn.losses.cosine import at_least_float32

# The first process may pack a large corpus for hours while the others wait.
_TIMEOUT = timedelta(hours=12)


@dataclass(frozen=True)
class Processes:
    """The number of processes that share a training run, the rank of this process, and their communication.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the first process; only the first process writes files."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """Choose the slice of a batch of `rows` rows that this process computes.

        Raises:
            InputError: the rows cannot be divided evenly among the processes.
        """
        if rows % self.count:
            raise InputError(
                f"episodes: a batch of {rows} clips cannot be divided evenly among {self.count} processes; change "
                "the number of clips or of processes"
            )
        size = rows // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def gather(self, rows: Tensor) -> Tensor:
        """Concatenate the rows of all processes in the order of their ranks; gradients flow back to each process."""
        return rows if self.count == 1 else _Gather.apply(rows)  # type: ignore[no-untyped-call]

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Average the gradients over all processes.

        All processes compute the same loss, and `gather` sums their gradients; the average removes this factor.
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
        """Average a scalar tensor over all processes, without gradients."""
        if self.count > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
            value /= self.count
        return value

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Run the block in the first process, and then in the others, which find the files that the first one wrote."""
        if self.count > 1 and not self.is_first:
            dist.barrier()
        yield
        if self.count > 1 and self.is_first:
            dist.barrier()

    def wait(self) -> None:
        """Wait until all processes call this method."""
        if self.count > 1:
            dist.barrier()


def launched() -> Processes:
    """Read the number of processes and the rank of this one from the environment variables that `torchrun` sets."""
    return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def process_group(device: torch.device) -> Iterator[Processes]:
    """Connect the processes that `torchrun` launched for the time of the block; without it, there is this one only."""
    if launched().count == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=_TIMEOUT, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=_TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def find_device(name: str | None = None) -> torch.device:
    """Find the torch device of this process; with `torchrun`, each process on a machine gets its own GPU.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, …; None for the GPU if there is one.

    Raises:
        InputError: torch cannot use the device.
    """
    wanted = name or ("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and "LOCAL_RANK" in os.environ:
        wanted = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        problem = str(error).splitlines()[0]
        raise InputError(f"torch cannot use {wanted} here ({problem}); choose cpu or cuda", key="device") from None
    return device


def synchronize_statistics(module: nn.Module) -> None:
    """Make the batch normalization of a module use the statistics of the rows of all processes."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, _SynchronizedNorm(child))
        else:
            synchronize_statistics(child)


class _SynchronizedNorm(nn.Module):
    """Batch normalization with the statistics of all processes, which have equal numbers of rows.

    torch's SyncBatchNorm does the same, but on CUDA only.
    """

    # Parameters and buffers keep their names, so that checkpoints do not depend on the number of processes.
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
        """Normalize each channel of a tensor, shape (batch, channels, …)."""
        if not self.training and self.running_mean is not None:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        processes = dist.get_world_size()
        with torch.autocast(x.device.type, enabled=False):
            values = at_least_float32(x)
            mean = _Sum.apply(values.mean(axes)) / processes  # type: ignore[no-untyped-call]
            # The mean is subtracted before squaring, because a difference of two large squares loses precision.
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
    """Gather the rows of all processes; in the backward pass, each process gets the summed gradients of its rows."""

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
    """Sum a tensor over all processes; the backward pass sums the gradients of all processes, too."""

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
