"""Base settings of a loss: its kind, the batches that it takes, and how its module is built."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from earmark.core.config import Settings


class LossSettings(Settings, ABC, allow_inf_nan=False):
    """Settings of a loss. A subclass sets ``kind``, adds its constants, and defines `build`.

    The class variables default to those of a loss that compares the utterances of a batch with each other.

    Attributes:
        least_utterances: smallest number of utterances per class.
        takes_background: whether the loss takes background: clips of no class, as negatives.
        has_classes: whether the loss has a weight vector for each class; its module then has a method ``logits``.
    """

    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False

    kind: str

    @abstractmethod
    def build(self, *, classes: int, dimension: int) -> nn.Module:
        """Build the module that computes the loss.

        Args:
            classes: number of training classes.
            dimension: length of an embedding.
        """


class ClassifierSettings(LossSettings):
    """Settings of a loss that classifies each utterance among the training classes, without background."""

    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True
