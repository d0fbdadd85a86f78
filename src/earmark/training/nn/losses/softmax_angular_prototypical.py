"""Softmax and angular prototypical loss together (Kwon et al. 2021, arXiv 2010.15809; Chung et al.'s trainer)."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from earmark.training.nn.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings
from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import LossSettings
from earmark.training.nn.losses.softmax import Softmax, SoftmaxSettings


class SoftmaxAngularPrototypicalSettings(LossSettings):
    """Settings of both parts of the loss."""

    has_classes: ClassVar[bool] = True

    kind: Literal["softmax_angular_prototypical"] = Field("softmax_angular_prototypical", description="which loss")
    softmax: SoftmaxSettings = Field(SoftmaxSettings(), description="settings of the softmax part")
    angular_prototypical: AngularPrototypicalSettings = Field(
        AngularPrototypicalSettings(), description="settings of the angular prototypical part"
    )

    def build(self, *, classes: int, dimension: int) -> "SoftmaxAngularPrototypical":
        """See `LossSettings.build`."""
        return SoftmaxAngularPrototypical(self, classes=classes, dimension=dimension)


class SoftmaxAngularPrototypical(Loss[SoftmaxAngularPrototypicalSettings]):
    """Sum of both losses on one batch: L = L_softmax + L_angular_prototypical. Labels must be all different.

    Both parts take all utterances. Only the angular prototypical part takes the background.

    Raises:
        InputError: ``softmax.head`` is false, and an embedding has fewer columns than there are classes.
    """

    def __init__(self, settings: SoftmaxAngularPrototypicalSettings, *, classes: int, dimension: int) -> None:
        super().__init__(settings, classes=classes, dimension=dimension)
        self.softmax = Softmax(settings.softmax, classes=classes, dimension=dimension)
        self.angular_prototypical = AngularPrototypical(
            settings.angular_prototypical, classes=classes, dimension=dimension
        )

    def loss(self, batch: LossInput) -> Tensor:
        """See `Loss.loss`."""
        return self.angular_prototypical.loss(batch) + self.softmax.loss(batch)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Class scores of the softmax part: embeddings (n, d) to (n, classes)."""
        return self.softmax.logits(embeddings)
