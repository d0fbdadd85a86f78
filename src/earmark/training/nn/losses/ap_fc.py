"""Angular prototypical loss with fixed classes, AP-FC (Huh et al. 2021, arXiv 2005.08776)."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine
from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.settings import LossSettings


class APFCSettings(LossSettings):
    """Settings of the loss."""

    least_utterances: ClassVar[int] = 1
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = True

    kind: Literal["ap_fc"] = Field("ap_fc", description="which loss")
    per: Literal["target", "sample"] = Field(
        "target", description="softmax over samples for each target, or over targets for each sample"
    )
    scale: float = Field(10.0, gt=0, description="w at the start")
    bias: float = Field(-5.0, description="b at the start")

    def build(self, *, classes: int, dimension: int) -> "APFC":
        """See `LossSettings.build`."""
        return APFC(self, classes=classes, dimension=dimension)


class APFC(nn.Module):
    """Cross-entropy with a learned prototype for each target, with non-targets as negatives.

    With x[j] a sample of target j, W[k] the learned prototype of target k, u[i] a non-target and
    S(x, k) = w · cos(x, W[k]) + b, the loss is the mean over the targets k in the batch of

        -log( exp S(x[k], k) / ( Σ_j exp S(x[j], k) + Σ_i exp S(u[i], k) ) )

    with j over the samples of the batch. This is our reading of the paper: non-targets have no prototype, so that they
    can only enter a softmax over samples. The other reading, ``per = "sample"``, exchanges j and k:

        -log( exp S(x[j], j) / ( Σ_k exp S(x[j], k) + Σ_i exp S(u[i], j) ) )

    with k over all targets. As published, a batch has one sample of each target. With more, samples of one target are
    not negatives of each other, and the loss is the mean over samples. The logarithm of w is learned, so that w stays
    positive.

    Args:
        settings: settings of the loss.
        classes: number of targets.
        dimension: length of an embedding.
    """

    def __init__(self, settings: APFCSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dimension)))
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        # The bias changes no softmax; it is kept because the formula has it.
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one batch.

        Args:
            embeddings: targets, shape (N, M, d), M = 1 as published; rows need not be unit length.
            labels: target number of each row, int64, shape (N,).
            background: non-targets, shape (B, d).

        Raises:
            InputError: a wrong shape or label.
        """
        classes, dimension = self.weight.shape
        batch = check_input(self.settings, embeddings, labels, background, classes=classes, dimension=dimension)
        labels = batch.sample_labels
        own = self.weight[labels]
        if self.settings.per == "sample":
            scores = torch.cat([self.logits(batch.samples), self._scores(own, batch.background)], dim=1)
            return nn.functional.cross_entropy(scores, labels)
        scores = self._scores(own, torch.cat([batch.samples, batch.background]))
        target = torch.arange(len(labels), device=labels.device)
        same = (labels[:, None] == labels) & (target[:, None] != target)
        same = nn.functional.pad(same, (0, len(batch.background)))
        return nn.functional.cross_entropy(scores.masked_fill(same, -torch.inf), target)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Scores S: embeddings (n, d) to (n, classes)."""
        return self._scores(embeddings, self.weight)

    def _scores(self, queries: Tensor, references: Tensor) -> Tensor:
        return self.log_scale.exp() * cosine(queries, references) + self.bias
