"""Convolutional classifier of MFCC, with which classifiers of learned features are compared."""

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.progress import Progress, no_progress
from earmark.training.nn.encoders.dense import linear, norm
from earmark.training.spatial.classifier import Floats, Ints, train_classifier
from earmark.training.spatial.fit import FitSettings, seeded

_FILTERS, _KERNEL = 64, 32


class Conv1dSettings(FitSettings):
    """Settings of the training of the convolutional classifier."""

    epochs: int = Field(100, ge=1, description="maximum number of epochs")
    validation: float = Field(
        0.5, ge=0, lt=1, description="share of random examples held out for early stopping; 0: none"
    )


class Conv1d(nn.Module):
    """A convolutional network: 64 filters with stride 2, normalization, max pooling, and a linear layer.

    The filters move along the coefficients, and each covers all frames. Max pooling is the only nonlinearity.

    Args:
        classes: number of classes.
        coefficients: number of coefficients in a frame, divisible by 4.
        frames: number of frames in a clip.
    """

    def __init__(self, classes: int, coefficients: int = 20, frames: int = 32) -> None:
        super().__init__()
        self.coefficients = coefficients
        # The padding is that of Keras's "same" with a stride of 2: 20 coefficients give 10.
        self.convolution = nn.Conv1d(frames, _FILTERS, _KERNEL, stride=2, padding=_KERNEL // 2 - 1)
        nn.init.xavier_uniform_(self.convolution.weight)
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)
        self.norm = norm(_FILTERS)
        self.output = linear(coefficients // 4 * _FILTERS, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits of clips, shape (batch, classes), from MFCC, shape (batch, coefficients · frames)."""
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
    progress: Progress = no_progress,
) -> Floats:
    """Train a convolutional network on labeled MFCC, and classify test MFCC.

    Args:
        train: MFCC of training clips, shape (n, coefficients · frames).
        train_labels: class of each training clip, shape (n,), from 0 to ``classes`` - 1.
        test: MFCC of test clips, shape (m, coefficients · frames).
        classes: number of classes.
        seed: seed of initial weights, held-out examples, their order, and dropout.
        settings: settings of the training.
        shape: number of frames in a clip, and of coefficients in a frame.
        progress: counts epochs.

    Returns:
        Logits of the test clips, shape (m, classes).
    """
    frames, coefficients = shape
    generator = torch.Generator().manual_seed(seed)
    with seeded(generator):
        network = Conv1d(classes, coefficients, frames)
    return train_classifier(network, train, train_labels, test, settings, generator, progress)
