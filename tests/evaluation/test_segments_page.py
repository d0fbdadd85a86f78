"""The page about segments matches the code."""

import re
import shlex
from pathlib import Path

from typer.main import get_command

from earmark.cli import app
from earmark.data.embedding_tables import ROWS
from earmark.data.lists.list_format import FRAME_S
from earmark.evaluation.dtw import MOST_SEQUENCES

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "segments.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "segments.md", "exec"), {})
    assert capsys.readouterr().out.split() == re.findall(r"# (\S+)", example)


def test_every_command_has_the_options_that_the_page_gives_it():
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        command, (name, *words) = get_command(app), shlex.split(line)
        while hasattr(command, "commands"):
            name = words.pop(0)
            command = command.commands[name]
        command.make_context(name, words)


def test_every_module_and_name_in_the_table_exists():
    for row in re.findall(r"^\| (`(?:data|evaluation)/.*)$", PAGE, re.MULTILINE):
        modules, content = row.split(" | ")
        files = [PROJECT / "src/earmark" / name for name in re.findall(r"`([\w/.]+)`", modules)]
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`(\w+)`", content):
            assert re.search(rf"^(def|class) {name}\b", text, re.MULTILINE), name


def test_numbers_are_those_of_the_code():
    assert f"({1000 * FRAME_S:.0f} ms)" in PAGE
    assert f"row groups of {ROWS:,}" in PAGE
    assert f"at most {MOST_SEQUENCES:,}" in PAGE
