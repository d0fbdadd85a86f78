"""Prototypical loss (Snell et al. 2017, arXiv 1703.05175, equation 2), as Jung et al. 2023 use it (2211.00439)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.settings import LossSettings


class PrototypicalSettings(LossSettings):
    """Settings of the loss."""

    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False

    kind: Literal["prototypical"] = Field("prototypical", description="which loss")

    def build(self, *, classes: int, dimension: int) -> "Prototypical":
        """See `LossSettings.build`."""
        return Prototypical(self, classes=classes, dimension=dimension)


class Prototypical(nn.Module):
    """Cross-entropy of a query against the prototypes of all classes in the batch, by squared distance.

    With e[j, i] the embedding of utterance i of class j, not scaled to unit length, the query is e[j, 1] and the
    prototype c[k] is the mean of e[k, 2] … e[k, M]. The loss is the mean over j of
    -log softmax_k(-‖e[j, 1] - c[k]‖²) at k = j.

    Background embeddings are additional columns that are never the target.

    Args:
        settings: settings of the loss.
        classes: not used.
        dimension: not used.
    """

    def __init__(self, settings: PrototypicalSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        del classes, dimension
        self.settings = settings

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one batch.

        Args:
            embeddings: shape (N, M, d), M ≥ 2.
            labels: class number of each row, int64, shape (N,); all different.
            background: clips of no class, shape (B, d).

        Raises:
            InputError: a wrong shape.
        """
        batch = check_input(self.settings, embeddings, labels, background)
        prototypes = torch.cat([batch.embeddings[:, 1:].mean(dim=1), batch.background])
        with torch.autocast(prototypes.device.type, enabled=False):
            # Computed by inner products, small distances between long embeddings would be lost in rounding.
            distances = torch.cdist(batch.embeddings[:, 0], prototypes, compute_mode="donot_use_mm_for_euclid_dist")
        target = torch.arange(len(distances), device=distances.device)
        return nn.functional.cross_entropy(-distances.square(), target)
