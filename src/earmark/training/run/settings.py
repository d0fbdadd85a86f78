"""Settings that training runs of all kinds share: name, seed, initialization, optimizer and checkpoints."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from earmark.core.config import Settings
from earmark.training.run.optimizer import OptimizerSettings


class InitializationSettings(Settings):
    """Settings for fine-tuning: the checkpoint whose weights a run starts from, and the modules that it freezes."""

    checkpoint: Path | None = Field(
        None,
        description="checkpoint whose weights initialize the run; relative to the recipe's folder; `{seed}` in it "
        "is replaced by the recipe's seed",
    )
    freeze: tuple[str, ...] = Field(
        (), description="modules of the encoder that are not trained, such as `network.layers.0`"
    )


class RunSettings(Settings):
    """Keys that all kinds of recipes share; the training loop reads only these."""

    name: str = Field(pattern=r"^[\w-][\w.-]*$", description="name of the encoder and of its files")
    seed: int = Field(0, ge=0, description="seed of all random numbers")
    start: InitializationSettings = InitializationSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    checkpoint_every: int = Field(200, ge=1, description="steps between checkpoints, each with a validation")
    stop_after: int = Field(
        0, ge=0, description="early stopping: number of checkpoints without a better validation; 0: no early stopping"
    )
    choose: Literal["best", "last"] = Field(
        "best", description="checkpoint to export: the best on the validation clips, or the last"
    )
    threads: int = Field(0, ge=0, description="torch threads on a CPU; 0: torch's default")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := [*self._problems()]:
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Yield a message for each conflict between keys of the recipe; a subclass defines its own conflicts."""
        yield from ()

    def resolved(self) -> Self:
        """Return the recipe with `{seed}` in ``start.checkpoint`` replaced by the seed."""
        path = self.start.checkpoint
        named = path and Path(str(path).replace("{seed}", str(self.seed))).resolve()
        return self.model_copy(update={"start": self.start.model_copy(update={"checkpoint": named})})

    def cost(self, metrics: Mapping[str, float]) -> float:
        """Select the validation metric that the best checkpoint minimizes; infinity if `metrics` does not have it."""
        return metrics.get("eer", math.inf)
