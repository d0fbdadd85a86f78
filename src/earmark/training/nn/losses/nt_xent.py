"""Normalized temperature-scaled cross-entropy, NT-Xent (Chen et al. 2020, SimCLR, arXiv 2002.05709, equation 1)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.training.nn.losses.cosine import cosine
from earmark.training.nn.losses.loss import Loss
from earmark.training.nn.losses.loss_input import LossInput
from earmark.training.nn.losses.settings import LossSettings


class NTXentSettings(LossSettings):
    """Settings of NT-Xent; the temperature is that of Algayres et al. 2022, arXiv 2204.05148."""

    kind: Literal["nt_xent"] = Field("nt_xent", description="which loss")
    temperature: float = Field(0.15, gt=0, description="τ, divisor of the cosines")

    def build(self, *, classes: int, dimension: int) -> "NTXent":
        """Build the module that computes this loss; see `LossSettings.build`."""
        return NTXent(self, classes=classes, dimension=dimension)


class NTXent(Loss[NTXentSettings]):
    """Cross-entropy that makes two views of a clip more similar to each other than to all other embeddings.

    Of 2N embeddings z in pairs (i, j), the cost of a pair in one direction is
    -log( exp(cos(z[i], z[j]) / τ) / Σ_{k ≠ i} exp(cos(z[i], z[k]) / τ) ). The loss is the mean over both directions of
    all pairs. Background embeddings are additional z[k] that are in no pair.

    A class is a clip with its M = 2 views. Labels must be all different.
    """

    def loss(self, batch: LossInput) -> Tensor:
        """Compute the loss of a checked batch, a scalar; see the class for its formula."""
        if batch.embeddings.shape[1] != 2:
            raise InputError(f"loss 'nt_xent': {batch.embeddings.shape[1]} views per clip instead of 2; draw 2")
        samples = batch.samples
        scores = cosine(samples, torch.cat([samples, batch.background])) / self.settings.temperature
        index = torch.arange(len(samples), device=scores.device)
        scores = scores.scatter(1, index[:, None], -torch.inf)
        # The views of a clip are adjacent: 0 and 1, 2 and 3, …
        return nn.functional.cross_entropy(scores, index ^ 1)
