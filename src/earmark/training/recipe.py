"""Recipes of either kind that `earmark train` takes: of words and voices, and of sequences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.core.config import checked, read_table
from earmark.training.sequences import recipe as sequences
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.words import recipe as words
from earmark.training.words.recipe import Recipe

AnyRecipe = Recipe | SequenceRecipe


def read_any_recipe(path: str | Path, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Read a recipe, of sequences where it says ``kind = "sequences"``.

    Args:
        path: a TOML file; relative paths in it start from its folder.
        overrides: ``a.b=value`` each, as `earmark.training.words.recipe.read_recipe` takes them.

    Raises:
        InputError: no such file, not TOML, an unknown key, a value of the wrong kind.
    """
    path = Path(path)
    return check_any_recipe(read_table(path, Recipe, SequenceRecipe, overrides=overrides), str(path)).resolved()


def check_any_recipe(table: Mapping[str, Any], where: str) -> AnyRecipe:
    """A recipe from a table, its paths as they stand.

    Raises:
        InputError: an unknown key, a value of the wrong kind; ``where`` says where the table comes from.
    """
    return checked(SequenceRecipe, table, where) if _is_of_sequences(table) else checked(Recipe, table, where)


def portable(recipe: AnyRecipe) -> dict[str, Any]:
    """The recipe as JSON values, of each path only the last two parts: what it says on any machine."""
    return words.portable(recipe) if isinstance(recipe, Recipe) else sequences.portable(recipe)


def _is_of_sequences(table: Mapping[str, Any]) -> bool:
    return table.get("kind") == "sequences"
