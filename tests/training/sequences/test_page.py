"""The page about recipes of sequences has every key that recipes of words do not have."""

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
def test_the_page_has_a_row_for_every_setting(key, row):
    assert "None" not in row, f"{key} has no description"
    assert row in PAGE


def test_the_page_has_no_other_rows():
    rows_on_page = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert sorted(rows_on_page) == sorted({row for _, row in ROWS})


def test_shared_keys_are_on_the_page_about_recipes():
    words = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for part in ("The run", "`start`", "`optimizer`", "`loss`, kind `nt_xent`", "`encoder`, kind `stream`"):
        assert f"## {part}" in words
        assert part in PAGE
