"""Generalized end-to-end loss (Wan et al. 2018, arXiv 1710.10467, equations 6 to 9)."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine, unit
from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.settings import LossSettings


class GE2ESettings(LossSettings):
    """Settings of the loss."""

    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False

    kind: Literal["ge2e"] = Field("ge2e", description="which loss")
    variant: Literal["softmax", "contrast"] = Field(
        "softmax", description="compare an utterance to all classes, or to the most similar wrong class"
    )
    scale: float = Field(10.0, gt=0, description="w at the start")
    bias: float = Field(-5.0, description="b at the start")

    def build(self, *, classes: int, dimension: int) -> "GE2E":
        """See `LossSettings.build`."""
        return GE2E(self, classes=classes, dimension=dimension)


class GE2E(nn.Module):
    """Compare every utterance to the centroids of all classes in the batch.

    With e[j, i] the unit embedding of utterance i of class j and c[k] the mean of class k, without e[j, i] itself
    where k = j, S[j, i, k] = w · cos(e[j, i], c[k]) + b. The cost of an utterance is
    -log softmax_k S[j, i, k] at k = j, or in contrast 1 - σ(S[j, i, j]) + max_{k ≠ j} σ(S[j, i, k]).
    The loss is the mean over utterances, not the sum, so that the step does not grow with the batch.
    The logarithm of w is learned, so that w stays positive.

    Background embeddings are additional columns of S that are never the target.

    Args:
        settings: settings of the loss.
        classes: not used.
        dimension: not used.
    """

    def __init__(self, settings: GE2ESettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        del classes, dimension
        self.settings = settings
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one batch.

        Args:
            embeddings: shape (N, M, d), M ≥ 2; rows need not be unit length.
            labels: class number of each row, int64, shape (N,); all different.
            background: clips of no class, shape (B, d).

        Raises:
            InputError: a wrong shape.
        """
        batch = check_input(self.settings, embeddings, labels, background)
        units = unit(batch.embeddings)
        total = units.sum(dim=1)
        similarity = cosine(units.flatten(0, 1), torch.cat([total, batch.background]))
        own = (units * unit(total[:, None] - units)).sum(dim=-1).flatten()
        target = torch.arange(len(units), device=similarity.device).repeat_interleave(units.shape[1])
        scores = self.log_scale.exp() * similarity.scatter(1, target[:, None], own[:, None]) + self.bias
        if self.settings.variant == "softmax":
            return nn.functional.cross_entropy(scores, target)
        wrong = scores.scatter(1, target[:, None], -torch.inf).amax(dim=1)
        return (1 - scores.gather(1, target[:, None])[:, 0].sigmoid() + wrong.sigmoid()).mean()
