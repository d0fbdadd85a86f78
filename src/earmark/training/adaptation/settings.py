"""Settings of the adaptation of an encoder to unlabeled recordings."""

from pydantic import Field

from earmark.core.config import Settings
from earmark.data.segments.grid import Grid
from earmark.data.vad import VadSettings
from earmark.training.mining.settings import MiningSettings

TIGHT = VadSettings(min_speech_s=0.16, min_silence_s=0.1, padding_s=0.0)
"""VAD settings for sections without pauses; pauses are similar to each other and would be most of the pairs."""

GRID = Grid(shortest_s=0.32)
"""Grid of segments for mining; shorter segments are single sounds, and would be the most similar pairs."""


class AdaptSettings(Settings):
    """Settings of an adaptation: number of rounds, and the mining and training of a round."""

    rounds: int = Field(3, ge=1, description="Maximum number of rounds of mining and training.")
    steps: int | None = Field(
        None, ge=1, description="Training steps of a round; if not given, those of the recipe, or 300."
    )
    checks: int = Field(3, ge=1, description="Validations per round.")
    pairs: int = Field(256, ge=2, description="Pairs per batch.")
    lr: float | None = Field(None, gt=0, description="Peak learning rate; if not given, that of the initialization.")
    from_scratch: bool | None = Field(
        None,
        description="Train each round from random weights, or from the best encoder so far; if not given, from random "
        "weights after the initialization `none` only.",
    )
    coverage: float = Field(0.2, gt=0, le=1, description="Share of segments that get a neighbor.")
    mutual: bool = Field(True, description="Use a pair only if each segment is a neighbor of the other.")
    most_segments: int = Field(
        100_000, ge=2, description="Maximum number of segments to mine; from more segments, a sample is drawn."
    )
    held_out: float = Field(
        0.1, gt=0, lt=1, description="Share of the speakers, or recordings, that are held out for validation."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads and processes; if not given, one per core.")
    seed: int = Field(0, ge=0, description="Random seed.")

    def mining(self) -> MiningSettings:
        """Make the mining settings of a round; the two segments of a pair are of two speakers.

        If speakers are unknown, each recording counts as a speaker.
        """
        return MiningSettings(
            relation="across",
            mutual=self.mutual,
            coverage=self.coverage,
            most_segments=self.most_segments,
            seed=self.seed,
        )
