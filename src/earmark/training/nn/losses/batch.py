"""What every loss is given: N classes × M utterances, and clips that are no class's."""

from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from earmark.core.errors import InputError


class Needs(Protocol):
    """What the settings of a loss say about its batches."""

    least_utterances: ClassVar[int]
    takes_background: ClassVar[bool]

    @property
    def kind(self) -> str:
        """Name of the loss."""


class Batch(NamedTuple):
    """One batch, checked, in single precision at least.

    Attributes:
        embeddings: shape (N, M, d).
        labels: class number of each row of embeddings, shape (N,), on the same device.
        background: shape (B, d); B may be 0.
    """

    embeddings: Tensor
    labels: Tensor
    background: Tensor

    @property
    def samples(self) -> Tensor:
        """The embeddings one after another, shape (N·M, d)."""
        return self.embeddings.flatten(0, 1)

    @property
    def sample_labels(self) -> Tensor:
        """The class number of each of them, shape (N·M,)."""
        return self.labels.repeat_interleave(self.embeddings.shape[1])


def checked(
    needs: Needs,
    embeddings: Tensor,
    labels: Tensor,
    background: Tensor | None,
    *,
    classes: int | None = None,
    dimension: int | None = None,
) -> Batch:
    """The batch that a loss was called with.

    Args:
        needs: settings of the loss.
        embeddings: shape (N, M, d), of any floating type.
        labels: whole numbers, shape (N,).
        background: shape (B, d), or none.
        classes: how many classes the loss has a weight for; none: labels may be any numbers.
        dimension: d of these weights.

    Raises:
        InputError: shapes or labels that the loss cannot work with.
    """
    name = f"loss '{needs.kind}'"
    if embeddings.ndim != 3 or 0 in embeddings.shape:
        shape = tuple(embeddings.shape)
        raise InputError(
            f"{name}: embeddings have shape {shape}; give (classes, utterances, dimension), none of them 0"
        )
    if dimension not in (None, embeddings.shape[2]):
        raise InputError(f"{name}: embeddings have {embeddings.shape[2]} columns; it was built for {dimension}")
    if embeddings.shape[1] < needs.least_utterances:
        raise InputError(
            f"{name}: {embeddings.shape[1]} utterances of each class; draw at least {needs.least_utterances}"
        )
    _check_labels(name, labels, len(embeddings), classes)
    if background is None or background.shape == (0, embeddings.shape[2]):
        background = embeddings[:0, 0]
    elif not needs.takes_background:
        raise InputError(f"{name}: takes no background; leave it out, or make it a class of its own")
    elif background.ndim != 2 or background.shape[1] != embeddings.shape[2]:
        shape = tuple(background.shape)
        raise InputError(f"{name}: background has shape {shape}; give (clips, {embeddings.shape[2]})")
    return Batch(at_least_single(embeddings), labels.to(embeddings.device), at_least_single(background))


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor in float32; double precision stays.

    >>> at_least_single(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _check_labels(name: str, labels: Tensor, rows: int, classes: int | None) -> None:
    if labels.shape != (rows,) or labels.dtype != torch.int64:
        kind = str(labels.dtype).removeprefix("torch.")
        raise InputError(f"{name}: labels are {kind} of shape {tuple(labels.shape)}; give int64 of shape ({rows},)")
    if classes is None:
        return
    # On an accelerator a label out of range would otherwise end the process, with no word about which.
    least, most = (int(end) for end in labels.aminmax())
    if least < 0 or most >= classes:
        raise InputError(f"{name}: labels go from {least} to {most}; it was built for classes 0 to {classes - 1}")
