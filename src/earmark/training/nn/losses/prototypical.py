"""Prototypical loss (Snell et al. 2017, arXiv 1703.05175, equation 2), as Jung et al. 2023 use it (2211.00439)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import LossSettings


class PrototypicalSettings(LossSettings):
    """Settings of the prototypical loss, which has no constants."""

    kind: Literal["prototypical"] = Field("prototypical", description="which loss")

    def build(self, *, classes: int, dimension: int) -> "Prototypical":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return Prototypical(self, classes=classes, dimension=dimension)


class Prototypical(Loss[PrototypicalSettings]):
    """Cross-entropy of a query against the prototypes of all classes in the batch, by squared distance.

    With e[j, i] the embedding of utterance i of class j, not scaled to unit length, the query is e[j, 1] and the
    prototype c[k] is the mean of e[k, 2] … e[k, M]. The loss is the mean over j of
    -log softmax_k(-‖e[j, 1] - c[k]‖²) at k = j.

    Background embeddings are additional prototypes that are never the target. Labels must be all different.
    """

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        prototypes = torch.cat([batch.embeddings[:, 1:].mean(dim=1), batch.background])
        with torch.autocast(prototypes.device.type, enabled=False):
            # Inner products would round away small distances between long embeddings.
            distances = torch.cdist(batch.embeddings[:, 0], prototypes, compute_mode="donot_use_mm_for_euclid_dist")
        target = torch.arange(len(distances), device=distances.device)
        return nn.functional.cross_entropy(-distances.square(), target)
