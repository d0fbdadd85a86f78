"""Settings of an adaptation."""

from pydantic import Field

from earmark.core.config import Settings
from earmark.data.segments.grid import Grid
from earmark.data.vad import VadSettings
from earmark.training.mining.settings import MiningSettings

TIGHT = VadSettings(min_speech_s=0.16, min_silence_s=0.1, padding_s=0.0)
"""Sections without pauses: pauses are similar whatever the words around them, and would be most of the pairs."""

GRID = Grid(shortest_s=0.32)
"""Segments for mining: shorter ones are the most similar, and are single sounds instead of words."""


class AdaptSettings(Settings):
    """Number of rounds, and the mining and training of each."""

    rounds: int = Field(3, ge=1, description="Maximum number of rounds of mining and training.")
    steps: int | None = Field(
        None, ge=1, description="Training steps of a round; 300, or those of the recipe, if not given."
    )
    checks: int = Field(3, ge=1, description="Validations per round.")
    pairs: int = Field(256, ge=2, description="Pairs per batch.")
    lr: float | None = Field(None, gt=0, description="Highest learning rate; that of the initialization if not given.")
    from_scratch: bool | None = Field(
        None,
        description="Train each round from random weights, or from the best encoder so far; from random weights after "
        "the initialization `none` if not given.",
    )
    coverage: float = Field(0.2, gt=0, le=1, description="Share of segments that get a neighbor.")
    mutual: bool = Field(True, description="Use a pair only where each segment is a neighbor of the other.")
    most_segments: int = Field(
        100_000, ge=2, description="Maximum number of segments to mine; of more, a sample is drawn."
    )
    held_out: float = Field(
        0.1, gt=0, lt=1, description="Share of the speakers, or recordings, that are held out for validation."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads and processes; one per core if not given.")
    seed: int = Field(0, ge=0, description="Random seed.")

    def mining(self) -> MiningSettings:
        """Mining settings: neighbors are other speakers', or other recordings' where speakers are unknown."""
        return MiningSettings(
            relation="across",
            mutual=self.mutual,
            coverage=self.coverage,
            most_segments=self.most_segments,
            seed=self.seed,
        )
