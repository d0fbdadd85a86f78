"""Random choices for the effects on sections: whether an effect is applied, and uniform parameters."""

from typing import Annotated

import torch
from pydantic import Field

Probability = Annotated[float, Field(ge=0, le=1, description="probability of the effect on a wave")]


def bernoulli(probability: float, generator: torch.Generator) -> bool:
    """Return true with the given probability; the generator draws one number, even if the probability is 0 or 1."""
    return torch.rand((), generator=generator).item() < probability


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """Draw a uniformly distributed number in [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()
