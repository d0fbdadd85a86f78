"""Angular prototypical loss with fixed classes, AP-FC (Huh et al. 2021, arXiv 2005.08776)."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.cosine import cosines


class APFCSettings(BaseModel):
    """Settings of the loss."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = True

    kind: Literal["ap_fc"] = Field("ap_fc", description="which loss")
    per: Literal["target", "sample"] = Field(
        "target", description="a softmax over the samples for each target, or over the targets for each sample"
    )
    scale: float = Field(10.0, gt=0, description="w at the start")
    bias: float = Field(-5.0, description="b at the start")


class APFC(nn.Module):
    """Cross-entropy with a learned prototype for each target, from which non-targets are kept away.

    With x[j] a sample of target j, W[k] the learned prototype of target k, u[i] a non-target and
    S(x, k) = w · cos(x, W[k]) + b, the loss is the mean over the targets k of the batch of

        -log( exp S(x[k], k) / ( Σ_j exp S(x[j], k) + Σ_i exp S(u[i], k) ) )

    with j over the batch's samples. Non-targets have no prototype, so that a softmax over samples is where they can
    enter; it is how we read the paper. The other reading, ``per = "sample"``, has j and k change places,

        -log( exp S(x[j], j) / ( Σ_k exp S(x[j], k) + Σ_i exp S(u[i], j) ) )

    with k over all targets. As published, a batch has each target once; where it has one more often, these samples are
    not each other's negatives, and the loss is the mean over samples. The scale is learned through its logarithm and so
    stays positive.

    Args:
        settings: of the loss.
        classes: how many targets there are.
        dimension: of the embeddings.
    """

    def __init__(self, settings: APFCSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dimension)))
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        # The bias moves no softmax; it stays in the formula for the score to be what the paper calls so.
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            embeddings: of targets, shape (N, M, d), M = 1 as published; rows need not be unit length.
            labels: target number of each row, int64, shape (N,).
            background: of non-targets, shape (B, d), alike.

        Raises:
            InputError: wrong shapes or labels.
        """
        classes, dimension = self.weight.shape
        batch = checked(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        labels = batch.sample_labels
        own = self.weight[labels]
        if self.settings.per == "sample":
            scores = torch.cat([self.logits(batch.samples), self._scores(own, batch.background)], dim=1)
            return nn.functional.cross_entropy(scores, labels)
        scores = self._scores(own, torch.cat([batch.samples, batch.background]))
        right = torch.arange(len(labels), device=labels.device)
        twin = (labels[:, None] == labels) & (right[:, None] != right)
        twin = nn.functional.pad(twin, (0, len(batch.background)))
        return nn.functional.cross_entropy(scores.masked_fill(twin, -torch.inf), right)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Score S of each target, shape (n, classes), of embeddings, shape (n, d)."""
        return self._scores(embeddings, self.weight)

    def _scores(self, one: Tensor, other: Tensor) -> Tensor:
        return self.log_scale.exp() * cosines(one, other) + self.bias
