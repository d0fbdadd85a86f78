"""Every published system has a page beside its recipes: the claim, the commands, our results."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from earmark.cli import app

PROJECT = Path(__file__).parents[2]
SYSTEMS = ["jung", "huh", "hajibabaei", "algayres", "humayun"]
PAGES = [
    PROJECT / "recipes" / "README.md",
    *(PROJECT / "recipes" / name / "README.md" for name in [*SYSTEMS, "models"]),
]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_page_states_claim_commands_and_results(system):
    text = (PROJECT / "recipes" / system / "README.md").read_text(encoding="utf-8")
    for part in ("**Claim.**", "**Run it**", "**What we got.**"):
        assert part in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_link_leads_to_a_file(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_command_parses(page):
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    for line in lines:
        command, (name, *words) = get_command(app), shlex.split(line)[1:]
        while hasattr(command, "commands"):
            command = command.commands[name]
            if hasattr(command, "commands"):
                name = words.pop(0)
        command.make_context(name, words)
