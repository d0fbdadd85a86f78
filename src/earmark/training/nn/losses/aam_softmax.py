"""Additive angular margin softmax (ArcFace: Deng et al. 2019, arXiv 1801.07698, equation 3)."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.cosine import cosines


class AAMSoftmaxSettings(BaseModel):
    """Settings of the loss; the paper, with many thousand faces, has margin 0.5 and scale 64."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True

    kind: Literal["aam_softmax"] = Field("aam_softmax", description="which loss")
    margin: float = Field(0.2, ge=0, lt=math.pi / 2, description="m in radians, added to the angle to the right class")
    scale: float = Field(30.0, gt=0, description="s, which multiplies all cosines")
    easy_margin: bool = Field(False, description="the margin only where the angle to the right class is below 90°")


class AAMSoftmax(nn.Module):
    """Cross-entropy over cosines with a vector for each class, to the right one of which the angle counts for more.

    With θ[k] the angle between an embedding and the vector of class k, the scores are s · cos θ[k], except that of the
    right class y, s · cos(θ[y] + m); the loss is the mean of -log softmax_k at k = y.

    Beyond θ[y] = π - m, cos(θ[y] + m) would rise again; there the score is s · (cos θ[y] - m sin m), which goes on
    falling. With the easy margin it is s · cos θ[y] wherever θ[y] ≥ π / 2.

    Args:
        settings: of the loss.
        classes: how many there are.
        dimension: of the embeddings.
    """

    def __init__(self, settings: AAMSoftmaxSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dimension)))

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
        cosine = cosines(batch.samples, self.weight)
        cosine = cosine.scatter(1, right, self._with_margin(cosine.gather(1, right)))
        return nn.functional.cross_entropy(self.settings.scale * cosine, right[:, 0])

    def logits(self, embeddings: Tensor) -> Tensor:
        """Score s · cos θ of each class without margin, shape (n, classes), of embeddings, shape (n, d)."""
        return self.settings.scale * cosines(embeddings, self.weight)

    def _with_margin(self, cosine: Tensor) -> Tensor:
        margin = self.settings.margin
        # The sine's slope has no end where the angle is 0 or π; below what single precision can tell, it stays level.
        sine = (1 - cosine.square()).clamp_min(1e-7).sqrt()
        wider = cosine * math.cos(margin) - sine * math.sin(margin)
        if self.settings.easy_margin:
            return torch.where(cosine > 0, wider, cosine)
        return torch.where(cosine > -math.cos(margin), wider, cosine - margin * math.sin(margin))
