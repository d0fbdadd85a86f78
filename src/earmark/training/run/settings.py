"""What every training run has, whatever it learns from: where it begins, how it steps, when it ends."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from earmark.core.config import Settings
from earmark.training.run.optimizer import OptimizerSettings


class StartSettings(Settings):
    """Where a run begins: fine-tuning."""

    checkpoint: Path | None = Field(
        None,
        description="a checkpoint whose tensors the run starts from; relative to the recipe's folder; `{seed}` in it "
        "stands for the recipe's seed",
    )
    freeze: tuple[str, ...] = Field(
        (), description="parts of the encoder that stay as they are, statistics too, such as `network.layers.0`"
    )


class RunSettings(Settings):
    """The part of a recipe that the training loop reads."""

    name: str = Field(pattern=r"^[\w-][\w.-]*$", description="the encoder's name; it names files too")
    seed: int = Field(0, ge=0, description="of all draws")
    start: StartSettings = StartSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    checkpoint_every: int = Field(200, ge=1, description="steps between checkpoints, each followed by a validation")
    stop_after: int = Field(
        0, ge=0, description="checkpoints without a better validation after which the run ends; 0: it never ends early"
    )
    choose: Literal["best", "last"] = Field(
        "best", description="the checkpoint that is exported: the best by the validation, or the last"
    )
    threads: int = Field(0, ge=0, description="threads of torch on a CPU; 0: torch's choice")

    def resolved(self) -> Self:
        """With the recipe's seed in the path of the checkpoint that it starts from."""
        begin = self.start.checkpoint
        named = begin and Path(str(begin).replace("{seed}", str(self.seed))).resolve()
        return self.model_copy(update={"start": self.start.model_copy(update={"checkpoint": named})})

    def cost(self, numbers: Mapping[str, float]) -> float:
        """What the best checkpoint has least of, from what its validation measured; infinite where it did not."""
        return numbers.get("eer", math.inf)
