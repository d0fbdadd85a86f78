"""Softmax and angular prototypical loss together (Kwon et al. 2021, arXiv 2010.15809; Chung et al.'s trainer)."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings
from earmark.training.nn.losses.softmax import Softmax, SoftmaxSettings


class SoftmaxAngularPrototypicalSettings(BaseModel):
    """Settings of the loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = True

    kind: Literal["softmax_angular_prototypical"] = Field("softmax_angular_prototypical", description="which loss")
    softmax: SoftmaxSettings = Field(SoftmaxSettings(), description="of the one part")
    angular_prototypical: AngularPrototypicalSettings = Field(
        AngularPrototypicalSettings(), description="of the other part"
    )


class SoftmaxAngularPrototypical(nn.Module):
    """The sum of both losses on one batch: L = L_softmax + L_angular prototypical.

    The former sees every utterance, the latter the background too.

    Args:
        settings: of the loss.
        classes: how many there are.
        dimension: of the embeddings.

    Raises:
        InputError: without a head, fewer columns than classes.
    """

    def __init__(self, settings: SoftmaxAngularPrototypicalSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.softmax = Softmax(settings.softmax, classes=classes, dimension=dimension)
        self.angular_prototypical = AngularPrototypical(
            settings.angular_prototypical, classes=classes, dimension=dimension
        )

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            embeddings: shape (N, M, d), M ≥ 2.
            labels: class number of each row, int64, shape (N,); no two alike.
            background: shape (B, d); what is of none of the classes.

        Raises:
            InputError: wrong shapes or labels.
        """
        prototypical: Tensor = self.angular_prototypical(embeddings, labels, background)
        return prototypical + self.softmax(embeddings, labels)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Score of each class by the softmax part, shape (n, classes), of embeddings, shape (n, d)."""
        return self.softmax.logits(embeddings)
