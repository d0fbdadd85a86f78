"""The system that the learned features are compared with: one convolution on MFCC."""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.encoders.dense import linear, norm
from earmark.training.spatial.classifier import Floats, Ints, learn_classes
from earmark.training.spatial.fit import FitSettings, seeded

_FILTERS, _KERNEL = 64, 32


class Conv1dSettings(FitSettings):
    """How the convolution learns."""

    epochs: int = Field(100, ge=1, description="most times that every example is seen")
    validation: float = Field(
        0.5, ge=0, lt=1, description="share of the examples, drawn by chance, whose loss says when to end; 0: all teach"
    )


class Conv1d(nn.Module):
    """64 filters that slide along the *coefficients*, two at a step, and see all frames at once; normalized, pooled.

    Nothing but pooling makes it more than linear.

    Args:
        classes: what it tells apart.
        coefficients: of a frame, even so many that two steps of two fit.
        frames: of a clip.
    """

    def __init__(self, classes: int, coefficients: int = 20, frames: int = 32) -> None:
        super().__init__()
        self.coefficients = coefficients
        # Keras's "same" at a stride of 2: 20 coefficients give 10.
        self.convolution = nn.Conv1d(frames, _FILTERS, _KERNEL, stride=2, padding=_KERNEL // 2 - 1)
        nn.init.xavier_uniform_(self.convolution.weight)
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)
        self.norm = norm(_FILTERS)
        self.output = linear(coefficients // 4 * _FILTERS, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """MFCC of shape (batch, coefficients · frames), of each coefficient all frames, to logits (batch, classes)."""
        frames_first = inputs.unflatten(1, (self.coefficients, -1)).mT
        pooled = nn.functional.max_pool1d(self.norm(self.convolution(frames_first)), 2)
        return self.output(pooled.flatten(1))


def classify_mfcc(
    train: Floats,
    train_labels: Ints,
    test: Floats,
    *,
    classes: int,
    seed: int,
    settings: Conv1dSettings,
    shape: tuple[int, int] = (32, 20),
    on_epoch: Callable[[int, float], object] = lambda *_: None,
) -> Floats:
    """Learn from labeled MFCC, shape (n, 640), and tell others apart, shape (m, 640): logits (m, classes).

    ``shape`` is how many frames a clip has, and how many coefficients a frame.
    """
    frames, coefficients = shape
    generator = torch.Generator().manual_seed(seed)
    with seeded(generator):
        network = Conv1d(classes, coefficients, frames)
    return learn_classes(network, train, train_labels, test, settings, generator, on_epoch)
