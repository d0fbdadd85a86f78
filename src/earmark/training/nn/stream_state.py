"""What a streaming network remembers between two chunks.

Every layer that looks back in time keeps the last few inputs it saw. In training there is no memory: the layer
sees the whole wave and its output is shorter by what it looks back. In a stream the memory stands in front of
the chunk, so that the output is as long as the input and equals the one of the whole wave.
"""

from collections.abc import Iterator

import torch
from torch import Tensor


class Memory:
    """The remembered inputs of all layers, in the order in which the layers run.

    One pass over the network takes each layer's tensor and leaves its successor, so that ``Memory(kept.after)``
    continues where the last chunk ended.
    """

    def __init__(self, before: list[Tensor] | None = None) -> None:
        self._before: Iterator[Tensor] | None = iter(before) if before is not None else None
        self.after: list[Tensor] = []

    def extend(self, x: Tensor, steps: int, axis: int) -> Tensor:
        """Put the remembered steps in front of ``x``, and remember its last ``steps``.

        In a first pass, without a memory of before, zeros stand in front.
        """
        if self._before is None:
            shape = list(x.shape)
            shape[axis] = steps
            past = x.new_zeros(shape)
        else:
            past = next(self._before)
        x = torch.cat([past, x], dim=axis)
        # Counted from the end, so that the exported graph holds one constant slice and no arithmetic on shapes.
        self.after.append(x[(slice(None),) * axis + (slice(-steps, None),)] if steps else x.narrow(axis, 0, 0))
        return x


def with_memory(x: Tensor, memory: Memory | None, steps: int, axis: int) -> Tensor:
    """``x`` as a layer that looks ``steps`` back should see it."""
    return x if memory is None else memory.extend(x, steps, axis)
