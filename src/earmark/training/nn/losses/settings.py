"""Settings that every loss has: its kind, the batches it takes, and how its module is built."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from earmark.core.config import Settings


class LossSettings(Settings, ABC, allow_inf_nan=False):
    """Settings of a loss; a subclass sets ``kind`` and the class variables below, adds its constants, and builds.

    The module maps ``(embeddings, labels, background)`` to a scalar; see `LossInput` for the shapes.

    Attributes:
        least_utterances: smallest number of utterances per class.
        takes_background: whether clips of no class are negatives.
        has_classes: whether the loss has a weight vector for each class; then its module has a method ``logits``.
    """

    least_utterances: ClassVar[int]
    takes_background: ClassVar[bool]
    has_classes: ClassVar[bool]

    kind: str

    @abstractmethod
    def build(self, *, classes: int, dimension: int) -> nn.Module:
        """Build the loss module.

        Args:
            classes: number of training classes.
            dimension: length of an embedding.
        """
