"""The page about recipes of sequences names every key that they do not share with those of words."""

from pathlib import Path

import pytest

from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.words.recipe import Recipe
from tests.training.test_page import rows

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "sequence-recipes.md").read_text(encoding="utf-8")
SHARED = {row for _, row in rows(Recipe)}
ROWS = [(key, row) for key, row in rows(SequenceRecipe) if row not in SHARED]


@pytest.mark.parametrize(("key", "row"), ROWS, ids=[key for key, _ in ROWS])
def test_the_page_says_what_the_settings_say(key, row):
    assert "None" not in row, f"{key} has no description"
    assert row in PAGE


def test_the_page_names_nothing_else():
    told = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert sorted(told) == sorted({row for _, row in ROWS})


def test_what_is_shared_is_in_the_tables_that_the_page_sends_to():
    words = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for part in ("The run", "`start`", "`optimizer`", "`loss`, kind `nt_xent`", "`encoder`, kind `stream`"):
        assert f"## {part}" in words
        assert part in PAGE
