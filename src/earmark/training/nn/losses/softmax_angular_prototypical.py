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
    """Settings of the two parts of the loss: softmax and angular prototypical."""

    has_classes: ClassVar[bool] = True

    kind: Literal["softmax_angular_prototypical"] = Field("softmax_angular_prototypical", description="which loss")
    softmax: SoftmaxSettings = Field(SoftmaxSettings(), description="settings of the softmax part")
    angular_prototypical: AngularPrototypicalSettings = Field(
        AngularPrototypicalSettings(), description="settings of the angular prototypical part"
    )

    def build(self, *, classes: int, dimension: int) -> "SoftmaxAngularPrototypical":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return SoftmaxAngularPrototypical(self, classes=classes, dimension=dimension)


class SoftmaxAngularPrototypical(Loss[SoftmaxAngularPrototypicalSettings]):
    """Sum of the softmax loss and the angular prototypical loss of one batch. Labels must be all different.

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
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        return self.angular_prototypical.loss(batch) + self.softmax.loss(batch)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Compute the class scores of the softmax part, shape (n, classes), from embeddings, shape (n, d)."""
        return self.softmax.logits(embeddings)
