"""Angular prototypical loss with fixed classes, AP-FC (Huh et al. 2021, arXiv 2005.08776)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine
from earmark.training.nn.losses.loss import ClassVectorLoss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.scaled_cosine import ScaledCosineLoss, ScaledCosineSettings


class APFCSettings(ScaledCosineSettings):
    """Settings of the AP-FC loss."""

    least_utterances: ClassVar[int] = 1
    has_classes: ClassVar[bool] = True

    kind: Literal["ap_fc"] = Field("ap_fc", description="which loss")
    per: Literal["target", "sample"] = Field(
        "target", description="softmax over samples for each target, or over targets for each sample"
    )

    def build(self, *, classes: int, dimension: int) -> "APFC":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return APFC(self, classes=classes, dimension=dimension)


class APFC(ScaledCosineLoss[APFCSettings], ClassVectorLoss[APFCSettings]):
    """Cross-entropy with a learned prototype for each target, with non-targets as negatives.

    With x[j] a sample of target j, W[k] the learned prototype of target k, u[i] a non-target and
    S(x, k) = w · cos(x, W[k]) + b, the loss is the mean over the targets k in the batch of

        -log( exp S(x[k], k) / ( Σ_j exp S(x[j], k) + Σ_i exp S(u[i], k) ) )

    with j over the samples of the batch. This is our reading of the paper: a non-target has no prototype, so that it
    can only be in a softmax over samples. The other reading, ``per = "sample"``, exchanges j and k:

        -log( exp S(x[j], j) / ( Σ_k exp S(x[j], k) + Σ_i exp S(u[i], j) ) )

    with k over all targets. As published, a batch has one sample of each target. With more, samples of one target are
    not negatives of each other, and the loss is the mean over samples.
    """

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        labels = batch.sample_labels
        own = self.weight[labels]
        if self.settings.per == "sample":
            scores = torch.cat([self.logits(batch.samples), self.scores(cosine(own, batch.background))], dim=1)
            return nn.functional.cross_entropy(scores, labels)
        scores = self.scores(cosine(own, torch.cat([batch.samples, batch.background])))
        target = torch.arange(len(labels), device=labels.device)
        same = (labels[:, None] == labels) & (target[:, None] != target)
        same = nn.functional.pad(same, (0, len(batch.background)))
        return nn.functional.cross_entropy(scores.masked_fill(same, -torch.inf), target)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Compute class scores w · cos + b, shape (n, classes), from embeddings, shape (n, d)."""
        return self.scores(cosine(embeddings, self.weight))
