"""Training recipes of an adaptation: a first one on sections of speech, and one per round on mined pairs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tomli_w

from earmark.core.config import Table, validate
from earmark.core.files import write_text
from earmark.training.adaptation.initialization import Initialization
from earmark.training.adaptation.settings import AdaptSettings
from earmark.training.sequences.recipe import SequenceRecipe

_STEPS = 300
_SHORTEST_S = 0.4  # shortest section in the first training; sections without pauses are short


@dataclass(frozen=True)
class AdaptationRecipes:
    """Makes the training recipes of one adaptation.

    Attributes:
        initialization: the initialization of the adaptation.
        settings: the settings of the adaptation.
        name: name of the encoder.
        watch: metric that selects the best checkpoint, `map` or `loss`, as in a recipe.
    """

    initialization: Initialization
    settings: AdaptSettings
    name: str
    watch: Literal["map", "loss"]

    def sections(self, data: Table, least_sections: int) -> SequenceRecipe:
        """Make the recipe that trains the first encoder, on sections of speech in two tempos.

        Args:
            data: the table `data` of the recipe.
            least_sections: speakers with fewer sections are dropped.
        """
        episodes = {
            "kind": "sections",
            "least_sections": least_sections,
            "shortest_s": _SHORTEST_S,
            **self.initialization.sections,
        }
        return validate(SequenceRecipe, self._common(data) | {"episodes": episodes}, self.name)

    def round(self, data: Table, checkpoint: Path | None) -> SequenceRecipe:
        """Make the recipe of a round, which trains the encoder on mined pairs.

        Args:
            data: the table `data` of the recipe.
            checkpoint: a checkpoint or exported encoder with the initial weights; None for random weights.
        """
        episodes = self.initialization.recipe.get("episodes", {})
        own = episodes if episodes.get("kind") == "pairs" else {"pairs": self.settings.pairs}
        table = self._common(data) | {"episodes": {**own, "kind": "pairs"}}
        table.pop("augment", None)  # augmentation needs waves; pairs are read from stored frames
        return validate(
            SequenceRecipe, table | ({"start": {"checkpoint": checkpoint}} if checkpoint else {}), self.name
        )

    def _common(self, data: Table) -> Table:
        """Make the keys and values of a recipe that are the same for the first training and for all rounds."""
        initialization, settings = self.initialization, self.settings
        optimizer = {"steps": _STEPS, **initialization.recipe.get("optimizer", {})}
        given = {"steps": settings.steps, "lr": settings.lr}
        optimizer |= {key: value for key, value in given.items() if value is not None}
        return {
            "kind": "sequences",
            "name": self.name,
            "seed": settings.seed,
            "checkpoint_every": -(-optimizer["steps"] // settings.checks),
            **initialization.recipe,
            "optimizer": optimizer,
            "data": data,
            "watch": self.watch,
        }


def write_recipe(recipe: SequenceRecipe, path: Path, title: str) -> None:
    """Write a recipe to a TOML file with `title` as its first comment; keys with default values are left out."""
    table = recipe.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    write_text(path, f"# {title}\n{tomli_w.dumps(table)}")
