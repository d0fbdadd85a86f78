"""Softmax and angular prototypical loss together (Kwon et al. 2021, arXiv 2010.15809; Chung et al.'s trainer)."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings
from earmark.training.nn.losses.settings import LossSettings
from earmark.training.nn.losses.softmax import Softmax, SoftmaxSettings


class SoftmaxAngularPrototypicalSettings(LossSettings):
    """Settings of the loss."""

    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = True

    kind: Literal["softmax_angular_prototypical"] = Field("softmax_angular_prototypical", description="which loss")
    softmax: SoftmaxSettings = Field(SoftmaxSettings(), description="settings of the softmax part")
    angular_prototypical: AngularPrototypicalSettings = Field(
        AngularPrototypicalSettings(), description="settings of the angular prototypical part"
    )

    def build(self, *, classes: int, dimension: int) -> "SoftmaxAngularPrototypical":
        """See `LossSettings.build`."""
        return SoftmaxAngularPrototypical(self, classes=classes, dimension=dimension)


class SoftmaxAngularPrototypical(nn.Module):
    """Sum of both losses on one batch: L = L_softmax + L_angular prototypical.

    Softmax takes all utterances, angular prototypical also the background.

    Args:
        settings: settings of the loss.
        classes: number of classes.
        dimension: length of an embedding.

    Raises:
        InputError: no head, and fewer columns than classes.
    """

    def __init__(self, settings: SoftmaxAngularPrototypicalSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.softmax = Softmax(settings.softmax, classes=classes, dimension=dimension)
        self.angular_prototypical = AngularPrototypical(
            settings.angular_prototypical, classes=classes, dimension=dimension
        )

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one batch.

        Args:
            embeddings: shape (N, M, d), M ≥ 2.
            labels: class number of each row, int64, shape (N,); all different.
            background: clips of no class, shape (B, d).

        Raises:
            InputError: a wrong shape or label.
        """
        prototypical: Tensor = self.angular_prototypical(embeddings, labels, background)
        return prototypical + self.softmax(embeddings, labels)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Class scores of the softmax part: embeddings (n, d) to (n, classes)."""
        return self.softmax.logits(embeddings)
