"""Triplet loss (Schroff et al. 2015, FaceNet, arXiv 1503.03832), as Huh et al. 2021 use it (arXiv 2005.08776)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from earmark.training.nn.losses.cosine import unit
from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import LossSettings


class TripletSettings(LossSettings):
    """Settings of the triplet loss. The defaults are those of Huh et al.; Schroff et al. set unit and squared."""

    kind: Literal["triplet"] = Field("triplet", description="which loss")
    margin: float = Field(1.0, gt=0, description="α, margin between the distances to a negative and to a positive")
    unit: bool = Field(False, description="scale embeddings to unit length first")
    squared: bool = Field(False, description="square the distances")
    mining: Literal["all", "hard", "semi-hard"] = Field(
        "all",
        description="triplets of the batch; all: every triplet; hard: each anchor with its farthest positive and"
        " nearest negative; semi-hard: triplets whose negative is farther than the positive by less than the margin",
    )

    def build(self, *, classes: int, dimension: int) -> "Triplet":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return Triplet(self, classes=classes, dimension=dimension)


class Triplet(Loss[TripletSettings]):
    """Hinge loss that makes an anchor nearer to its positive than to a negative, by a margin.

    With D the Euclidean distance, the cost of an anchor a, a positive p of its class and a negative n is
    max(0, D(a, p) - D(a, n) + α). The loss is the mean over the mined triplets, or 0 where there are none. "all" and
    "hard" are "batch all" and "batch hard" of Hermans et al. 2017 (arXiv 1703.07737). "semi-hard" is the mining of
    Schroff et al., but takes all semi-hard negatives of a pair instead of one.

    Negatives are utterances of other classes and the background, which is never an anchor or a positive.
    """

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        samples, utterances = batch.samples, batch.embeddings.shape[1]
        near = self._distances(batch.embeddings, batch.embeddings).flatten(0, 1)
        far = self._distances(samples, torch.cat([samples, batch.background]))
        itself = torch.eye(utterances, dtype=torch.bool, device=near.device).repeat(len(batch.embeddings), 1)
        same = batch.sample_labels[:, None] == batch.sample_labels
        negative = torch.cat([~same, same.new_ones(len(same), len(batch.background))], dim=1)
        if self.settings.mining == "hard":
            near = near.masked_fill(itself, -torch.inf).amax(dim=1)
            far = far.masked_fill(~negative, torch.inf).amin(dim=1)
            return (self.settings.margin + near - far).relu().mean()
        gap = far[:, None, :] - near[:, :, None]
        counts = ~itself[:, :, None] & negative[:, None, :]
        if self.settings.mining == "semi-hard":
            counts &= (gap > 0) & (gap <= self.settings.margin)
        cost = torch.where(counts, (self.settings.margin - gap).relu(), 0)
        return cost.sum() / counts.sum().clamp_min(1)

    def _distances(self, queries: Tensor, references: Tensor) -> Tensor:
        if self.settings.unit:
            queries, references = unit(queries), unit(references)
        with torch.autocast(queries.device.type, enabled=False):
            # Inner products would round away small distances.
            distances = torch.cdist(queries, references, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.square() if self.settings.squared else distances
