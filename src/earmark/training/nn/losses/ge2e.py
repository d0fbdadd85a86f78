"""Generalized end-to-end loss (Wan et al. 2018, arXiv 1710.10467, equations 6 to 9)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine, unit
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.scaled_cosine import ScaledCosineLoss, ScaledCosineSettings


class GE2ESettings(ScaledCosineSettings):
    """Settings of the generalized end-to-end loss."""

    kind: Literal["ge2e"] = Field("ge2e", description="which loss")
    variant: Literal["softmax", "contrast"] = Field(
        "softmax", description="compare an utterance to all classes, or to the most similar wrong class"
    )

    def build(self, *, classes: int, dimension: int) -> "GE2E":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return GE2E(self, classes=classes, dimension=dimension)


class GE2E(ScaledCosineLoss[GE2ESettings]):
    """Cost of every utterance, by its similarities to the centroids of all classes in the batch.

    With e[j, i] the unit embedding of utterance i of class j and c[k] the mean of class k, without e[j, i] itself
    where k = j, S[j, i, k] = w · cos(e[j, i], c[k]) + b. The cost of an utterance is
    -log softmax_k S[j, i, k] at k = j. In the variant "contrast" it is 1 - σ(S[j, i, j]) + max_{k ≠ j} σ(S[j, i, k]).
    The loss is the mean over utterances, not the sum, so that the gradient does not grow with the batch.

    Background embeddings are additional columns of S that are never the target. Labels must be all different.
    """

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        units = unit(batch.embeddings)
        total = units.sum(dim=1)
        similarity = cosine(units.flatten(0, 1), torch.cat([total, batch.background]))
        own = (units * unit(total[:, None] - units)).sum(dim=-1).flatten()
        target = torch.arange(len(units), device=similarity.device).repeat_interleave(units.shape[1])
        scores = self.scores(similarity.scatter(1, target[:, None], own[:, None]))
        if self.settings.variant == "softmax":
            return nn.functional.cross_entropy(scores, target)
        wrong = scores.scatter(1, target[:, None], -torch.inf).amax(dim=1)
        return (1 - scores.gather(1, target[:, None])[:, 0].sigmoid() + wrong.sigmoid()).mean()
