"""Triplet loss (Schroff et al. 2015, FaceNet, arXiv 1503.03832), as Huh et al. 2021 use it (arXiv 2005.08776)."""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.cosine import unit


class TripletSettings(BaseModel):
    """Settings of the loss; the defaults are those of Huh et al., the paper of Schroff et al. is unit and squared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False

    kind: Literal["triplet"] = Field("triplet", description="which loss")
    margin: float = Field(1.0, gt=0, description="α, by how much farther than a positive a negative shall be")
    unit: bool = Field(False, description="distances between embeddings made unit length")
    squared: bool = Field(False, description="squared distances")
    mining: Literal["all", "hard", "semi-hard"] = Field(
        "all",
        description="which triplets of the batch count: all; of each anchor the farthest positive and nearest negative;"
        " or those whose negative is farther than the positive, by less than the margin",
    )


class Triplet(nn.Module):
    """An anchor shall be nearer to its positive than to a negative, by a margin.

    With D the Euclidean distance, a triplet of an anchor a, another utterance p of its class and a negative n costs
    max(0, D(a, p) - D(a, n) + α); the loss is the mean over the triplets that mining leaves, 0 if it leaves none.
    All and hard are "batch all" and "batch hard" of Hermans et al. 2017, arXiv 1703.07737; semi-hard is as defined by
    Schroff et al., with all such negatives of a pair instead of one.

    Negatives are utterances with other labels, and the background, which is never an anchor or a positive.

    Args:
        settings: of the loss.
        classes: not used.
        dimension: not used.
    """

    def __init__(self, settings: TripletSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        del classes, dimension
        self.settings = settings

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            embeddings: shape (N, M, d), M ≥ 2.
            labels: class number of each row, int64, shape (N,).
            background: shape (B, d); what is of none of the classes.

        Raises:
            InputError: wrong shapes.
        """
        batch = checked(self.settings, embeddings, labels, background)
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

    def _distances(self, one: Tensor, other: Tensor) -> Tensor:
        if self.settings.unit:
            one, other = unit(one), unit(other)
        with torch.autocast(one.device.type, enabled=False):
            # Through inner products, the distance of near neighbors would be lost in rounding.
            distances = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.square() if self.settings.squared else distances
