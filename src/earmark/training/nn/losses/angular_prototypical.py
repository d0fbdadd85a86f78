"""Angular prototypical loss (Chung et al. 2020, arXiv 2003.11982, equations 8 and 9)."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.cosine import cosines, unit


class AngularPrototypicalSettings(BaseModel):
    """Settings of the loss."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False

    kind: Literal["angular_prototypical"] = Field("angular_prototypical", description="which loss")
    scale: float = Field(10.0, gt=0, description="w at the start")
    bias: float = Field(-5.0, description="b at the start")
    queries: Literal["last", "each"] = Field(
        "last", description="which utterances are queries: the last of each word, as published, or each in turn"
    )


class AngularPrototypical(nn.Module):
    """Cross-entropy of a query against the prototypes of all words in the episode.

    With e[j, i] the unit embedding of utterance i of word j, the query is e[j, M], the prototype c[k] is the mean of
    e[k, 1] … e[k, M-1], and S[j, k] = w · cos(e[j, M], c[k]) + b; the loss is the mean over j of
    -log softmax_k S[j, k] at k = j. The scale is learned through its logarithm and so stays positive. Chung et al. take
    the mean over embeddings as they are, which differs where M > 2: one long embedding would speak for all the others.

    Background embeddings stand beside the prototypes as further columns that are never the right one: sound to keep
    away from, not to gather in one place (Huh et al. 2021, arXiv 2005.08776, treat non-targets so).

    Args:
        settings: of the loss.
        classes: not used.
        dimension: not used.
    """

    def __init__(self, settings: AngularPrototypicalSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        del classes, dimension
        self.settings = settings
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        # The bias moves no softmax. It stays in the formula, learned or not, for the score to be a probability's logit.
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one episode.

        Args:
            embeddings: shape (N, M, d), M ≥ 2; rows need not be unit length.
            labels: class number of each row, int64, shape (N,); no two alike.
            background: shape (B, d), alike; what is none of the words.

        Raises:
            InputError: wrong shapes.
        """
        batch = checked(self.settings, embeddings, labels, background)
        # Utterances first, shape (M, N, d): each turn of queries is an episode of its own.
        units = unit(batch.embeddings).transpose(0, 1)
        queries = units if self.settings.queries == "each" else units[-1:]
        prototypes = units.sum(dim=0) - queries
        others = batch.background.expand(len(queries), -1, -1)
        scores = self.log_scale.exp() * cosines(queries, torch.cat([prototypes, others], dim=1)) + self.bias
        right = torch.arange(scores.shape[1], device=scores.device)
        return nn.functional.cross_entropy(scores.flatten(0, 1), right.repeat(len(queries)))
