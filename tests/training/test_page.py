"""The page about training names every key of a recipe, its default and what it does, as the settings do."""

from pathlib import Path
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from earmark.training.words.recipe import Recipe

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def rows(model=Recipe, above="", of=""):
    """Key with the kinds above it, and `| key | default | what it is |`, of each key of a recipe."""
    for name, field in model.model_fields.items():
        key = f"{above}{name}"
        inner = list(settings_in(field.annotation))
        is_list = get_origin(field.annotation) is tuple
        if is_list or not inner:
            yield f"{key}{of}", f"| `{key}` | {written(field.default)} | {field.description} |"
        for settings in inner:
            kind = settings.model_fields.get("kind") if len(inner) > 1 else None
            # A list holds sources; what a source is stands below the first.
            if not is_list:
                yield from rows(settings, f"{key}.", f"{of} {kind.default}" if kind else of)
            elif key == "data.words":
                yield from rows(settings, f"{key}[].")


def settings_in(annotation):
    """The settings models of an annotation: one, or those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from settings_in(part)


def written(value):
    """A default as TOML writes it."""
    if value is PydanticUndefined:
        return "needed"
    if isinstance(value, tuple):
        return f"`[{', '.join(written(part).strip('`') for part in value)}]`"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{value}`"


@pytest.mark.parametrize(("key", "row"), list(rows()), ids=[key for key, _ in rows()])
def test_the_page_says_what_the_settings_say(key, row):
    assert "None" not in row, f"{key} has no description"
    assert row in PAGE, f"docs/recipes.md lacks the row {row}"
