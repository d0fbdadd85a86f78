"""Whether an effect happens."""

from typing import Annotated

import torch
from pydantic import Field

Probability = Annotated[float, Field(ge=0, le=1, description="share of the waves on which it happens")]


def bernoulli(probability: float, generator: torch.Generator) -> bool:
    """Throw a coin; one that always falls alike is thrown too, so that what is drawn next does not depend on it."""
    return torch.rand((), generator=generator).item() < probability


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A number of [low, high), on the CPU."""
    return low + (high - low) * torch.rand((), generator=generator).item()
