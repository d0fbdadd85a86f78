"""Angular prototypical loss (Chung et al. 2020, arXiv 2003.11982, equations 8 and 9)."""

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class AngularPrototypicalSettings(BaseModel):
    """Settings of the loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    -log softmax_k S[j, k] at k = j. The scale is learned through its logarithm and so stays positive.

    Background embeddings stand beside the prototypes as further columns that are never the right one: sound to keep
    away from, not to gather in one place (Huh et al. 2021, arXiv 2005.08776, treat non-targets so).
    """

    def __init__(self, settings: AngularPrototypicalSettings) -> None:
        super().__init__()
        self.queries = settings.queries
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings.scale)))
        # The bias moves no softmax. It stays in the formula, learned or not, for the score to be a probability's logit.
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def forward(self, embeddings: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one episode.

        Args:
            embeddings: shape (N, M, d), M ≥ 2; rows need not be unit length.
            background: shape (B, d), alike; what is none of the words.
        """
        embeddings = nn.functional.normalize(embeddings, dim=-1)
        utterances = embeddings.shape[1]
        turns = range(utterances) if self.queries == "each" else [utterances - 1]
        total = embeddings.sum(dim=1)
        others = embeddings[:0, 0] if background is None else background
        return torch.stack([self._turn(embeddings[:, i], total - embeddings[:, i], others) for i in turns]).mean()

    def _turn(self, query: Tensor, prototype: Tensor, others: Tensor) -> Tensor:
        cosine = query @ nn.functional.normalize(torch.cat([prototype, others]), dim=-1).T
        scores = self.log_scale.exp() * cosine + self.bias
        return nn.functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))
