"""State of a streaming network between two chunks.

A layer with left context keeps its last inputs as its state, which is prepended to the next chunk. The output is then
as long as the chunk and equals the output for the whole wave. In training there is no state: a layer gets the whole
wave, and its output is shorter by its left context.
"""

from collections.abc import Iterator

import torch
from torch import Tensor


class StreamState:
    """The last inputs of all layers of a streaming network, in the order in which the layers run.

    One pass over the network consumes each layer's tensor and appends the layer's next tensor to ``after``. The next
    chunk continues with ``StreamState(state.after)``.
    """

    def __init__(self, before: list[Tensor] | None = None) -> None:
        self._before: Iterator[Tensor] | None = iter(before) if before is not None else None
        self.after: list[Tensor] = []

    def extend(self, x: Tensor, steps: int, axis: int) -> Tensor:
        """Prepend a layer's last ``steps`` inputs to its new input ``x`` along ``axis``, and keep the new last ones.

        The past of a stream's first chunk is zeros.
        """
        if self._before is None:
            shape = list(x.shape)
            shape[axis] = steps
            past = x.new_zeros(shape)
        else:
            past = next(self._before)
        x = torch.cat([past, x], dim=axis)
        # Counted from the end, so that the exported graph has one constant slice and no arithmetic on shapes.
        self.after.append(x[(slice(None),) * axis + (slice(-steps, None),)] if steps else x.narrow(axis, 0, 0))
        return x


def with_past(x: Tensor, state: StreamState | None, steps: int, axis: int) -> Tensor:
    """Prepend a layer's last ``steps`` inputs to its new input ``x`` along ``axis``; without a state, return ``x``."""
    return x if state is None else state.extend(x, steps, axis)
