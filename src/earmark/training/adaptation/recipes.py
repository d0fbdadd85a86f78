"""Recipes of an adaptation: of the first training on sections, and of each round's training on pairs."""

from pathlib import Path

import tomli_w

from earmark.core.config import Table, validate
from earmark.core.files import write_text
from earmark.training.adaptation.initialization import Initialization
from earmark.training.adaptation.settings import AdaptSettings
from earmark.training.sequences.recipe import SequenceRecipe

_STEPS = 300
_SHORTEST_S = 0.4  # of a section in the first training: sections without pauses are short


def round_recipe(
    initialization: Initialization, settings: AdaptSettings, name: str, data: Table, checkpoint: Path | None, watch: str
) -> SequenceRecipe:
    """The recipe of a round, which trains on pairs.

    Args:
        initialization: of the adaptation.
        settings: of the adaptation.
        name: of the encoder.
        data: the lists, as in a recipe.
        checkpoint: a checkpoint or exported encoder with the first weights; None for random weights.
        watch: as in a recipe.
    """
    episodes = initialization.recipe.get("episodes", {})
    own = episodes if episodes.get("kind") == "pairs" else {"pairs": settings.pairs}
    table = _common(initialization, settings, name, data, watch) | {"episodes": {**own, "kind": "pairs"}}
    table.pop("augment", None)  # augmentation needs waves; pairs are read from stored frames
    return validate(SequenceRecipe, table | ({"start": {"checkpoint": checkpoint}} if checkpoint else {}), name)


def sections_recipe(
    initialization: Initialization, settings: AdaptSettings, name: str, data: Table, least_sections: int, watch: str
) -> SequenceRecipe:
    """The recipe of the first training, on sections in two tempos.

    Args:
        initialization: of the adaptation.
        settings: of the adaptation.
        name: of the encoder.
        data: the lists, as in a recipe.
        least_sections: minimum number of sections of a speaker.
        watch: as in a recipe.
    """
    episodes = {
        "kind": "sections",
        "least_sections": least_sections,
        "shortest_s": _SHORTEST_S,
        **initialization.sections,
    }
    return validate(SequenceRecipe, _common(initialization, settings, name, data, watch) | {"episodes": episodes}, name)


def write_recipe(recipe: SequenceRecipe, path: Path, title: str) -> None:
    """Write a recipe as TOML, for the user's record; keys with default values are left out."""
    table = recipe.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    write_text(path, f"# {title}\n{tomli_w.dumps(table)}")


def _common(initialization: Initialization, settings: AdaptSettings, name: str, data: Table, watch: str) -> Table:
    """Tables that all recipes of an adaptation share."""
    optimizer = {"steps": _STEPS, **initialization.recipe.get("optimizer", {})}
    given = {"steps": settings.steps, "lr": settings.lr}
    optimizer |= {key: value for key, value in given.items() if value is not None}
    return {
        "kind": "sequences",
        "name": name,
        "seed": settings.seed,
        "checkpoint_every": -(-optimizer["steps"] // settings.checks),
        **initialization.recipe,
        "optimizer": optimizer,
        "data": data,
        "watch": watch,
    }
