"""The dense classifier that learns words from few labeled embeddings."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from earmark.core.errors import InputError
from earmark.training.nn.encoders.dense import linear, norm, prelu
from earmark.training.spatial.fit import FitSettings, fit, seeded

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


class ClassifierSettings(FitSettings):
    """How the classifier learns."""

    optimizer: Literal["adamax", "nadam"] = Field("nadam", description="which one")
    validation: float = Field(
        0.5, ge=0, lt=1, description="share of the examples, drawn by chance, whose loss says when to end; 0: all teach"
    )


_PUBLISHED = ClassifierSettings()


def classifier(classes: int, dimension: int) -> nn.Sequential:
    """A hidden layer half as wide as classes and embedding together, normalized, with PReLU and dropout; logits."""
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
    """Learn from labeled embeddings, and tell others apart.

    Args:
        train: embeddings of any encoder, shape (n, d); ``settings.validation`` of them say when to end.
        train_labels: class of each, shape (n,), from 0 to ``classes`` - 1.
        test: embeddings, shape (m, d).
        classes: how many there are.
        seed: of first weights, of who validates, of order and dropout.
        settings: how the classifier learns.

    Returns:
        Logits, shape (m, classes).

    Raises:
        InputError: too few examples, or shapes that do not go together.
    """
    generator = torch.Generator().manual_seed(seed)
    with seeded(generator):
        network = classifier(classes, train.shape[1])
    return learn_classes(network, train, train_labels, test, settings, generator)


def learn_classes(
    network: nn.Module,
    train: Floats,
    train_labels: Ints,
    test: Floats,
    settings: FitSettings,
    generator: torch.Generator,
    on_epoch: Callable[[int, float], object] = lambda *_: None,
) -> Floats:
    """Teach any network of inputs to logits by cross-entropy; the logits of the test, shape (m, classes).

    Raises:
        InputError: too few examples, or shapes that do not go together.
    """
    if len(train) != len(train_labels) or train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"{train.shape} examples, {len(train_labels)} labels and {test.shape} tests do not go together; "
            "give an embedding a label, and all of one length"
        )
    inputs = torch.as_tensor(train, dtype=torch.float32)
    labels = torch.as_tensor(train_labels, dtype=torch.int64)
    fit(
        network,
        lambda rows: nn.functional.cross_entropy(network(inputs[rows]), labels[rows]),
        len(inputs),
        settings,
        generator,
        on_epoch,
    )
    with torch.inference_mode():
        return network(torch.as_tensor(test, dtype=torch.float32)).numpy()
