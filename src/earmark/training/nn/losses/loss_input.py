"""Input of a loss: embeddings of N classes × M utterances, and embeddings of B background clips."""

from typing import NamedTuple

import torch
from torch import Tensor

from earmark.core.errors import InputError
from earmark.training.nn.losses.cosine import at_least_float32
from earmark.training.nn.losses.settings import LossSettings


class LossInput(NamedTuple):
    """Embeddings and class numbers of a batch, which have been checked for a loss; in float32 or float64.

    Attributes:
        embeddings: shape (N, M, d).
        labels: class number of each row of embeddings, shape (N,), on the same device.
        background: embeddings of clips of no class, shape (B, d); B may be 0.
    """

    embeddings: Tensor
    labels: Tensor
    background: Tensor

    @property
    def samples(self) -> Tensor:
        """Embeddings of all utterances, shape (N · M, d)."""
        return self.embeddings.flatten(0, 1)

    @property
    def sample_labels(self) -> Tensor:
        """Class number of each utterance, shape (N · M,)."""
        return self.labels.repeat_interleave(self.embeddings.shape[1])


def check_input(
    settings: LossSettings,
    embeddings: Tensor,
    labels: Tensor,
    background: Tensor | None,
    *,
    classes: int | None = None,
    dimension: int | None = None,
) -> LossInput:
    """Check the shapes, types and labels of a batch for a loss, and convert half precision to float32.

    Args:
        settings: settings of the loss.
        embeddings: shape (N, M, d), of any floating type.
        labels: class numbers, int64, shape (N,).
        background: shape (B, d), or None.
        classes: number of class vectors; None allows any label.
        dimension: length of a class vector; None allows any length.

    Returns:
        The batch in float32 or float64; B is 0 if ``background`` is None.

    Raises:
        InputError: a wrong shape, type or label.
    """
    name = f"loss '{settings.kind}'"
    if embeddings.ndim != 3 or 0 in embeddings.shape:
        shape = tuple(embeddings.shape)
        raise InputError(
            f"{name}: embeddings have shape {shape}; give (classes, utterances, dimension), none of them 0"
        )
    if dimension not in (None, embeddings.shape[2]):
        raise InputError(
            f"{name}: embeddings have {embeddings.shape[2]} columns, class vectors {dimension}; give equally many"
        )
    if embeddings.shape[1] < settings.least_utterances:
        raise InputError(
            f"{name}: {embeddings.shape[1]} utterances per class are too few; draw at least {settings.least_utterances}"
        )
    _check_labels(name, labels, len(embeddings), classes)
    if background is None or background.shape == (0, embeddings.shape[2]):
        background = embeddings[:0, 0]
    elif not settings.takes_background:
        raise InputError(f"{name}: this loss takes no background clips; leave them out, or make them a class")
    elif background.ndim != 2 or background.shape[1] != embeddings.shape[2]:
        shape = tuple(background.shape)
        raise InputError(f"{name}: background has shape {shape}; give (clips, {embeddings.shape[2]})")
    return LossInput(at_least_float32(embeddings), labels.to(embeddings.device), at_least_float32(background))


def _check_labels(name: str, labels: Tensor, rows: int, classes: int | None) -> None:
    if labels.shape != (rows,) or labels.dtype != torch.int64:
        dtype = str(labels.dtype).removeprefix("torch.")
        raise InputError(f"{name}: labels are {dtype} of shape {tuple(labels.shape)}; give int64 of shape ({rows},)")
    if classes is None:
        return
    # An accelerator would end the process without naming the label that is out of range.
    lowest, highest = (int(end) for end in labels.aminmax())
    if lowest < 0 or highest >= classes:
        raise InputError(f"{name}: labels range from {lowest} to {highest}; give class numbers from 0 to {classes - 1}")
