"""Recipes of both kinds that `earmark train` accepts: `words` for labeled clips, and `sequences` for segments."""

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
    """Read a recipe of either kind; a recipe without the key ``kind`` is of kind ``words``.

    Args:
        path: a TOML file; relative paths in it start from its folder.
        overrides: values that replace those of the file, each as ``a.b=value``; see `earmark.core.config.read_table`.

    Raises:
        InputError: the file is missing or not TOML, a key is unknown, or a value is wrong.
    """
    path = Path(path)
    return check_any_recipe(read_table(path, Recipe, SequenceRecipe, overrides=overrides), str(path)).resolved()


def check_any_recipe(table: Mapping[str, Any], where: str) -> AnyRecipe:
    """Parse a recipe of either kind from a table without resolving its paths.

    Args:
        table: keys and values, as read from TOML or JSON.
        where: file that contains the table, for messages.

    Raises:
        InputError: a key is unknown, or a value is wrong.
    """
    if table.get("kind") == "sequences":
        return validate(SequenceRecipe, table, where)
    return validate(Recipe, table, where)


def portable(recipe: AnyRecipe) -> dict[str, Any]:
    """Convert a recipe to JSON values that do not depend on the machine: only the last two parts of paths are kept."""
    return words.portable(recipe) if isinstance(recipe, Recipe) else sequences.portable(recipe)
