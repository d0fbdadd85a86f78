"""Recipes of `earmark train`: of labeled clips, and of sequences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.core.config import read_table, validate
from earmark.training.sequences import recipe as sequences
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.words import recipe as words
from earmark.training.words.recipe import Recipe

AnyRecipe = Recipe | SequenceRecipe


def read_any_recipe(path: str | Path, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Read a recipe; one with ``kind = "sequences"`` is of sequences.

    Args:
        path: a TOML file; relative paths in it start from its folder.
        overrides: ``a.b=value`` each; see `earmark.core.config.read_table`.

    Raises:
        InputError: the file is missing or not TOML, a key is unknown, or a value is wrong.
    """
    path = Path(path)
    return check_any_recipe(read_table(path, Recipe, SequenceRecipe, overrides=overrides), str(path)).resolved()


def check_any_recipe(table: Mapping[str, Any], where: str) -> AnyRecipe:
    """Validate a table as a recipe, with its paths unchanged.

    Args:
        table: as TOML has it.
        where: the table's file, for messages.

    Raises:
        InputError: a key is unknown, or a value is wrong.
    """
    if table.get("kind") == "sequences":
        return validate(SequenceRecipe, table, where)
    return validate(Recipe, table, where)


def portable(recipe: AnyRecipe) -> dict[str, Any]:
    """The recipe as JSON values that do not depend on the machine: of each path, the last two parts."""
    return words.portable(recipe) if isinstance(recipe, Recipe) else sequences.portable(recipe)
