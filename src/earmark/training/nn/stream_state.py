"""State of a streaming network between two chunks.

A layer with left context keeps the last inputs it saw. In training there is no state: a layer gets the whole wave, and
its output is shorter by its left context. In a stream the state is prepended to the chunk, so that the output is as
long as the input and equals the output for the whole wave.
"""

from collections.abc import Iterator

import torch
from torch import Tensor


class StreamState:
    """Past inputs of all layers, in the order in which the layers run.

    One pass over the network consumes each layer's tensor and appends its successor to ``after``, so that
    ``StreamState(state.after)`` continues after the last chunk.
    """

    def __init__(self, before: list[Tensor] | None = None) -> None:
        self._before: Iterator[Tensor] | None = iter(before) if before is not None else None
        self.after: list[Tensor] = []

    def extend(self, x: Tensor, steps: int, axis: int) -> Tensor:
        """Prepend the past steps to ``x`` and keep its last ``steps``. At the start of a stream the past is zeros."""
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


def with_past(x: Tensor, state: StreamState | None, steps: int, axis: int) -> Tensor:
    """Input of a layer with a left context of ``steps``; without a state, ``x`` itself."""
    return x if state is None else state.extend(x, steps, axis)
