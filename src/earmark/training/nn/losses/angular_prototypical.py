"""Angular prototypical loss (Chung et al. 2020, arXiv 2003.11982, equations 8 and 9)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine, unit
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.scaled_cosine import ScaledCosineLoss, ScaledCosineSettings


class AngularPrototypicalSettings(ScaledCosineSettings):
    """Settings of the angular prototypical loss."""

    kind: Literal["angular_prototypical"] = Field("angular_prototypical", description="which loss")
    queries: Literal["last", "each"] = Field(
        "last", description="which utterances are queries: the last of each class, as published, or each in turn"
    )

    def build(self, *, classes: int, dimension: int) -> "AngularPrototypical":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return AngularPrototypical(self, classes=classes, dimension=dimension)


class AngularPrototypical(ScaledCosineLoss[AngularPrototypicalSettings]):
    """Cross-entropy of a query against the prototypes of all classes in the batch. Labels must be all different.

    With e[j, i] the unit embedding of utterance i of class j, the query is e[j, M], the prototype c[k] is the mean of
    e[k, 1] … e[k, M-1], and S[j, k] = w · cos(e[j, M], c[k]) + b. The loss is the mean over j of
    -log softmax_k S[j, k] at k = j. Chung et al. average embeddings that are not scaled to unit length, so that a long
    embedding dominates a mean of M > 2.

    Background embeddings are additional columns of S that are never the target, like the non-targets of Huh et al. 2021
    (arXiv 2005.08776).
    """

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        # Utterances first, shape (M, N, d): each set of queries is an episode of its own.
        units = unit(batch.embeddings).transpose(0, 1)
        queries = units if self.settings.queries == "each" else units[-1:]
        prototypes = units.sum(dim=0) - queries
        negatives = batch.background.expand(len(queries), -1, -1)
        scores = self.scores(cosine(queries, torch.cat([prototypes, negatives], dim=1)))
        target = torch.arange(scores.shape[1], device=scores.device)
        return nn.functional.cross_entropy(scores.flatten(0, 1), target.repeat(len(queries)))
