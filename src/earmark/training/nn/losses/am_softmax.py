"""Additive margin softmax (Wang et al. 2018, arXiv 1801.05599, equation 6; CosFace, arXiv 1801.09414, equation 4)."""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.cosine import cosines


class AMSoftmaxSettings(BaseModel):
    """Settings of the loss; the defaults are those of Jung et al. 2023, arXiv 2211.00439."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["am_softmax"] = Field("am_softmax", description="which loss")
    margin: float = Field(0.3, ge=0, le=2, description="m, taken off the cosine with the right class")
    scale: float = Field(15.0, gt=0, description="s, which multiplies all cosines")
    learned_scale: bool = Field(False, description="s is learned from there; the right score loses m · s of the start")


class AMSoftmax(nn.Module):
    """Cross-entropy over cosines with a vector for each class, the right one of which counts for less.

    With cos θ[k] the cosine of an embedding and the vector of class k, the scores are s · (cos θ[k] - m · [k = y]), and
    the loss is the mean of -log softmax_k at the right class y. Where s is learned, as Hajibabaei & Dai 2018 do
    (arXiv 1807.08312: s from 100 on, 50 taken off), the right score loses the constant m · s of the start.

    Args:
        settings: of the loss.
        classes: how many there are.
        dimension: of the embeddings.
    """

    def __init__(self, settings: AMSoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dimension)))
        # Learned as it is, not through its logarithm, for the published rate to give the published steps.
        self.scale = nn.Parameter(torch.tensor(settings.scale)) if settings.learned_scale else settings.scale

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            embeddings: shape (N, M, d); rows need not be unit length.
            labels: class number of each row, int64, shape (N,).
            background: none.

        Raises:
            InputError: wrong shapes or labels.
        """
        classes, dimension = self.weight.shape
        batch = checked(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        right = batch.sample_labels[:, None]
        scores = self.logits(batch.samples)
        taken = self.settings.margin * self.settings.scale
        return nn.functional.cross_entropy(scores.scatter(1, right, scores.gather(1, right) - taken), right[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Score s · cos θ of each class without margin, shape (n, classes), of embeddings, shape (n, d)."""
        return self.scale * cosines(embeddings, self.weight)
