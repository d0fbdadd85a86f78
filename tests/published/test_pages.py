"""What the pages about published systems name is there: commands and their options, keys of recipes, recipes, tests."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from earmark.cli import app

PROJECT = Path(__file__).parents[2]
TRAINED = ["jung", "huh", "hajibabaei"]
PAGES = [*TRAINED, "humayun", "algayres"]
ROOMS = "data|scenes|augment|encoder|start|episodes|loss|optimizer"
TABLES = {page: (["recipes"], ROOMS) for page in TRAINED} | {
    "algayres": (["recipes", "sequence-recipes"], f"{ROOMS}|context|frames|augment")
}


def text_of(page):
    return (PROJECT / "docs" / "published" / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_has_the_options_that_the_page_gives_it(page, commands_of):
    lines = commands_of(page)
    assert len(lines) > 5
    for line in lines:
        command, (name, *words) = get_command(app), shlex.split(line)
        while hasattr(command, "commands"):
            name = words.pop(0)
            command = command.commands[name]
        command.make_context(name, words)


@pytest.mark.parametrize("page", TABLES)
def test_every_key_of_a_recipe_is_one(page):
    tables, rooms = TABLES[page]
    text = "\n".join((PROJECT / "docs" / f"{table}.md").read_text(encoding="utf-8") for table in tables)
    known = set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE))
    named = set(re.findall(rf"[` ]((?:{rooms})\.[a-z_.]*[a-z])", text_of(page))) - {"data.md"}
    assert len(named) > 10
    # A table of keys, such as encoder.frontend, is named too.
    assert {name for name in named - known if not any(key.startswith(f"{name}.") for key in known)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page):
    written = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", text_of(page))
    assert named
    assert [name for name in named if f"def {name}(" not in written] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_recipe_is_named_and_every_named_one_exists(page):
    there = {path.name for path in (PROJECT / "recipes" / page).rglob("[!_]*.toml")}
    named = set(re.findall(r"[\w-]+\.toml", text_of(page)))
    assert named <= there
    stages = {name for name in there if name.startswith("finetune")}
    assert there - stages <= named
