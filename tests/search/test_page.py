import re
from pathlib import Path

import typer

from earmark.cli import app
from earmark.evaluation.protocols.search import BETA, NUMBERS, TOLERANCE_S
from earmark.search import IndexSettings
from earmark.search.indexing import COMMIT_S
from earmark.search.query import SHORTEST_S
from earmark.search.shards import LARGEST_BYTES, MOST_ATTEMPTS
from earmark.search.windows import LONGEST_S

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")


def options_of(*names):
    command = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def test_every_command_on_the_page_has_the_options_that_stand_there():
    lines = [
        line.split("#")[0] for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
    ]
    commands = [line.split() for line in lines if line.startswith("earmark ")]
    assert len(commands) == 12
    for _, name, *words in commands:
        known = options_of("evaluate", "search") if name == "evaluate" else options_of(name)
        assert {word for word in words if word.startswith("--")} <= known
    every = options_of("index") | options_of("search") | options_of("evaluate", "search")
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]*", PAGE)) <= every


def test_numbers_on_the_page_are_those_of_the_code():
    assert f"lasts {SHORTEST_S:g} to {LONGEST_S:g} s" in " ".join(PAGE.split())
    assert f"every {COMMIT_S / 60:.0f} minutes of sound" in PAGE
    assert f"β = {BETA}" in PAGE
    assert f"`--tolerance` ({TOLERANCE_S} s)" in " ".join(PAGE.split())
    assert IndexSettings().neighbors_from_h == 10
    assert "only from ten hours on" in PAGE
    assert f"most {LARGEST_BYTES / 1e6:.0f} MB of sound files" in PAGE
    assert MOST_ATTEMPTS == 10
    assert "ten times at the same shard" in PAGE
    for head in NUMBERS.values():
        assert re.search(rf"^\| {head} \|", PAGE, re.MULTILINE)
