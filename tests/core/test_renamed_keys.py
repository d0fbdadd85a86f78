"""Recipes of earlier versions: read from checkpoints, refused with the new name in files."""

import pytest

from earmark.core.config import validate
from earmark.core.errors import InputError
from earmark.core.renamed_keys import RENAMED_KEYS, RENAMED_KINDS, with_current_names
from earmark.training.words.recipe import Recipe


def test_old_names_become_current_ones_at_any_depth():
    old = {"optimiser": {"lr": 1}, "data": {"words": [{"licence": "MIT"}]}, "scenes": {"kind": "centred"}}
    new = {"optimizer": {"lr": 1}, "data": {"words": [{"license": "MIT"}]}, "scenes": {"kind": "center_crop"}}
    assert with_current_names(old) == new


def test_old_names_of_crops_and_sequences_become_current_ones():
    old = {"hearing": {"context_s": 5}, "effects": {}, "scenes": {"kind": "repeated", "repetition": False}}
    new = {"context": {"context_s": 5}, "augment": {}, "scenes": {"kind": "tiled_crop", "tile": False}}
    assert with_current_names(old) == new


def test_no_current_name_is_an_old_one():
    assert not set(RENAMED_KEYS.values()) & set(RENAMED_KEYS)
    assert not set(RENAMED_KINDS.values()) & set(RENAMED_KINDS)


@pytest.mark.parametrize(
    ("table", "new"),
    [
        ({"optimiser": {"lr": 0.1}}, "'optimizer'"),
        ({"scenes": {"kind": "centred"}}, "'center_crop'"),
        ({"scenes": {"kind": "tiled_crop", "repetition": True}}, "'tile'"),
    ],
)
def test_an_old_name_in_a_recipe_is_an_error_with_the_new_one(table, new):
    with pytest.raises(InputError, match=new):
        validate(Recipe, {"name": "x", "data": {"folder": "d", "words": [{"manifest": "m"}]}} | table, "recipe.toml")
