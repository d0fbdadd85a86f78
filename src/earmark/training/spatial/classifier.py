"""Dense classifier of words, trained on few labeled embeddings."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.training.nn.encoders.dense import linear, norm, prelu
from earmark.training.spatial.fit import FitSettings, fit, seeded

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


class ClassifierSettings(FitSettings):
    """Settings of the training of the dense classifier."""

    optimizer: Literal["adamax", "nadam"] = Field("nadam", description="optimizer")
    validation: float = Field(
        0.5, ge=0, lt=1, description="share of random examples held out for early stopping; 0: none"
    )


_PUBLISHED = ClassifierSettings()


def build_classifier(classes: int, dimension: int) -> nn.Sequential:
    """Build a classifier of embeddings.

    Its hidden layer has (classes + dimension) / 2 units, batch normalization, a PReLU, and dropout.
    """
    hidden = (classes + dimension) // 2
    return nn.Sequential(
        linear(dimension, hidden), norm(hidden), prelu(hidden), nn.Dropout(0.1), linear(hidden, classes)
    )


def classify(
    train: Floats,
    train_labels: Ints,
    test: Floats,
    *,
    classes: int,
    seed: int = 0,
    settings: ClassifierSettings = _PUBLISHED,
) -> Floats:
    """Train a classifier on labeled embeddings, and classify test embeddings.

    Args:
        train: training embeddings of any encoder, shape (n, d).
        train_labels: class of each training embedding, shape (n,), from 0 to ``classes`` - 1.
        test: test embeddings, shape (m, d).
        classes: number of classes.
        seed: seed of initial weights, held-out examples, their order, and dropout.
        settings: settings of the training.

    Returns:
        Logits of the test embeddings, shape (m, classes).

    Raises:
        InputError: there are too few examples, or the shapes do not fit each other.
    """
    generator = torch.Generator().manual_seed(seed)
    with seeded(generator):
        network = build_classifier(classes, train.shape[1])
    return train_classifier(network, train, train_labels, test, settings, generator)


def train_classifier(
    network: nn.Module,
    train: Floats,
    train_labels: Ints,
    test: Floats,
    settings: FitSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
) -> Floats:
    """Train a network by cross-entropy on labeled examples, and return its logits for test examples, (m, classes).

    Raises:
        InputError: there are too few examples, or the shapes do not fit each other.
    """
    if len(train) != len(train_labels) or train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"train: the shape {train.shape} does not fit {len(train_labels)} labels and test rows of shape "
            f"{test.shape[1:]}; give one label per training row, and training and test rows of the same length"
        )
    inputs = torch.as_tensor(train, dtype=torch.float32)
    labels = torch.as_tensor(train_labels, dtype=torch.int64)
    fit(
        network,
        lambda rows: nn.functional.cross_entropy(network(inputs[rows]), labels[rows]),
        len(inputs),
        settings,
        generator,
        progress,
    )
    with torch.inference_mode():
        return network(torch.as_tensor(test, dtype=torch.float32)).numpy()
