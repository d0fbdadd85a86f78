"""Normalized temperature-scaled cross-entropy, NT-Xent (Chen et al. 2020, SimCLR, arXiv 2002.05709, equation 1)."""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.training.nn.losses.batch import checked
from earmark.training.nn.losses.cosine import cosines


class NTXentSettings(BaseModel):
    """Settings of the loss; the temperature is that of Algayres et al. 2022, arXiv 2204.05148."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    least_utterances: ClassVar[int] = 2
    takes_background: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False

    kind: Literal["nt_xent"] = Field("nt_xent", description="which loss")
    temperature: float = Field(0.15, gt=0, description="τ, by which cosines are divided")


class NTXent(nn.Module):
    """Each of two views shall be more like the other view than like all other embeddings of the batch.

    Of 2N embeddings z in pairs (i, j), the cost of a pair in one direction is
    -log( exp(cos(z[i], z[j]) / τ) / Σ_{k ≠ i} exp(cos(z[i], z[k]) / τ) ); the loss is the mean over both directions of
    all pairs. Background embeddings are further z[k], and no pair's first or second.

    Args:
        settings: of the loss.
        classes: not used.
        dimension: not used.
    """

    def __init__(self, settings: NTXentSettings, *, classes: int, dimension: int) -> None:
        super().__init__()
        del classes, dimension
        self.settings = settings

    def forward(self, embeddings: Tensor, labels: Tensor, background: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            embeddings: shape (N, 2, d); rows need not be unit length.
            labels: number of each pair, int64, shape (N,); no two alike.
            background: shape (B, d), alike; what belongs to no pair.

        Raises:
            InputError: wrong shapes.
        """
        batch = checked(self.settings, embeddings, labels, background)
        if batch.embeddings.shape[1] != 2:
            raise InputError(f"loss 'nt_xent': {batch.embeddings.shape[1]} views of each clip; draw 2")
        samples = batch.samples
        scores = cosines(samples, torch.cat([samples, batch.background])) / self.settings.temperature
        index = torch.arange(len(samples), device=scores.device)
        scores = scores.scatter(1, index[:, None], -torch.inf)
        # Views of one clip are neighbors: 0 and 1, 2 and 3, …
        return nn.functional.cross_entropy(scores, index ^ 1)
