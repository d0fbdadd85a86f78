"""Angular prototypical loss (Chung et al. 2020, arXiv 2003.11982, equations 8 and 9)."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.training.nn.losses.cosine import cosine, unit
from earmark.training.nn.losses.loss_input import check_input
from earmark.training.nn.losses.settings import LossSettings


class AngularPrototypicalSettings(LossSettings):
    """Settings of the loss."""

    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False

    kind: Literal["angular_prototypical"] = Field("angular_prototypical", description="which loss")
    scale: float = Field(10.0, gt=0, description="w at the start")
    bias: float = Field(-5.0, description="b at the start")
    queries: Literal["last", "each"] = Field(
        "last", description="which utterances are queries: the last of each class, as published, or each in turn"
    )

    def build(self, *, classes: int, dimension: int) -> "AngularPrototypical":
        """See `LossSettings.build`."""
        return AngularPrototypical(self, classes=classes, dimension=dimension)


class AngularPrototypical(nn.Module):
    """Cross-entropy of a query against the prototypes of all classes in the episode.

    With e[j, i] the unit embedding of utterance i of class j, the query is e[j, M], the prototype c[k] is the mean of
    e[k, 1] … e[k, M-1], and S[j, k] = w · cos(e[j, M], c[k]) + b. The loss is the mean over j of
    -log softmax_k S[j, k] at k = j. The logarithm of w is learned, so that w stays positive. Chung et al. average
    embeddings that are not scaled to unit length, which differs where M > 2: a long embedding would dominate the mean.

    Background embeddings are additional columns of S that are never the target: negatives that form no class
    (as the non-targets of Huh et al. 2021, arXiv 2005.08776).

    Args:
        settings: settings of the loss.
        classes: not used.
        dimension: not used.
    """

    def __init__(self, settings: AngularPrototypicalSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        del classes, dimension
        self.settings = settings
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        # The bias changes no softmax. It is kept because the formula has it: S is then a logit.
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """Compute the loss of one episode.

        Args:
            embeddings: shape (N, M, d), M ≥ 2; rows need not be unit length.
            labels: class number of each row, int64, shape (N,); all different.
            background: clips of no class, shape (B, d).

        Raises:
            InputError: a wrong shape.
        """
        batch = check_input(self.settings, embeddings, labels, background)
        # Utterances first, shape (M, N, d): each set of queries is an episode of its own.
        units = unit(batch.embeddings).transpose(0, 1)
        queries = units if self.settings.queries == "each" else units[-1:]
        prototypes = units.sum(dim=0) - queries
        negatives = batch.background.expand(len(queries), -1, -1)
        scores = self.log_scale.exp() * cosine(queries, torch.cat([prototypes, negatives], dim=1)) + self.bias
        target = torch.arange(scores.shape[1], device=scores.device)
        return nn.functional.cross_entropy(scores.flatten(0, 1), target.repeat(len(queries)))
