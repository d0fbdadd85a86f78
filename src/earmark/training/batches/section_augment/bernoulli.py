"""Bernoulli gate and uniform numbers."""

from typing import Annotated

import torch
from pydantic import Field

Probability = Annotated[float, Field(ge=0, le=1, description="probability of the effect on a wave")]


def bernoulli(probability: float, generator: torch.Generator) -> bool:
    """Draw whether an effect is applied. The draw consumes one number for any probability."""
    return torch.rand((), generator=generator).item() < probability


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """Draw a number in [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()
