import re
from pathlib import Path
from typing import Any

import typer

from earmark.cli import app
from earmark.evaluation.protocols.search import BETA, METRICS, TOLERANCE_S
from earmark.search import IndexSettings
from earmark.search.indexing import COMMIT_S
from earmark.search.query import SHORTEST_S
from earmark.search.shards import LARGEST_BYTES, MOST_ATTEMPTS
from earmark.search.windows import LONGEST_S

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")


def options_of(*names):
    command: Any = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def test_every_option_on_the_page_exists():
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
    page = " ".join(PAGE.split())
    for number in (
        f"{SHORTEST_S:g} to {LONGEST_S:g} s",
        f"{COMMIT_S / 60:.0f} minutes",
        f"{BETA}",
        f"`--tolerance` ({TOLERANCE_S} s)",
        f"{LARGEST_BYTES / 1e6:.0f} MB",
    ):
        assert number in page
    assert (IndexSettings().neighbors_from_h, MOST_ATTEMPTS) == (10, 10)  # "ten" on the page
    for name in METRICS.values():
        assert re.search(rf"^\| {name} \|", PAGE, re.MULTILINE)
