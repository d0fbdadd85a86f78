"""How an encoder is adapted."""

from pydantic import Field

from earmark.core.config import Settings
from earmark.data.segments.grid import Grid
from earmark.data.vad import VadSettings
from earmark.training.mining.settings import MiningSettings

TIGHT = VadSettings(min_speech_s=0.16, min_silence_s=0.1, padding_s=0.0)
"""Sections without pauses, which are alike whatever is said around them, and would be most of what is mined."""

GRID = Grid(shortest_s=0.32)
"""Segments that are learned from: the most similar of all are as short as one sound, and say nothing of words."""


class AdaptSettings(Settings):
    """How many rounds, and how much each of them does."""

    rounds: int = Field(default=3, ge=1, description="Rounds of mining and training at most.")
    steps: int = Field(default=0, ge=0, description="Training steps of a round; 0: 300, or what the recipe says.")
    checks: int = Field(default=3, ge=1, description="How often in a round the encoder is measured.")
    pairs: int = Field(default=256, ge=2, description="Pairs a batch.")
    lr: float = Field(default=0.0, ge=0, description="Highest learning rate; 0: that of the start.")
    anew: bool | None = Field(
        default=None,
        description="Whether each round learns from nothing, and what was learned before only mines; by default after "
        "the start `none`.",
    )
    coverage: float = Field(default=0.2, gt=0, le=1, description="Share of segments that are to have a neighbor.")
    mutual: bool = Field(default=True, description="Learn from a pair only where each is a neighbor of the other.")
    most_segments: int = Field(
        default=100_000, ge=2, description="Segments that are mined; of more, so many are drawn."
    )
    held_out: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the speakers, or recordings, that only measure."
    )
    threads: int = Field(default=0, ge=0, description="Threads of torch on a CPU; 0: torch's choice.")
    seed: int = Field(default=0, ge=0, description="Of all draws.")

    def mining(self) -> MiningSettings:
        """How pairs are mined: among other speakers, or other recordings where nobody is known."""
        return MiningSettings(
            relation="across",
            mutual=self.mutual,
            coverage=self.coverage,
            most_segments=self.most_segments,
            seed=self.seed,
        )
