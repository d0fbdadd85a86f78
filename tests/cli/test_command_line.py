import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import earmark
from earmark.cli import app


def earmark_command(*arguments, **how):
    return subprocess.run(
        [sys.executable, "-m", "earmark", *arguments], capture_output=True, text=True, timeout=300, **how
    )


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


EVERY = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_the_help_of_every_command_fits_80_columns_and_has_an_example(path):
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert EVERY[path].help
    names = [name for param in EVERY[path].params if not getattr(param, "hidden", False) for name in param.opts]
    assert [name for name in names if name.startswith("-") and name not in result.output] == []
    assert f"earmark {' '.join(path)}" in EVERY[path].epilog


@pytest.mark.parametrize(
    "path", [(), ("keywords",), ("prepare",), ("enroll",), ("prepare", "vad"), ("keywords", "list")]
)
def test_a_short_option_asks_for_help(path):
    short, long = (CliRunner().invoke(app, [*path, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)


def test_the_help_groups_the_commands():
    lines = CliRunner().invoke(app, ["--help"]).output.splitlines()
    panels: dict[str, list[str]] = {line.strip("─╭╮ "): [] for line in lines if line.startswith("╭")}
    for line in lines:
        if line.startswith("╭"):
            name = line.strip("─╭╮ ")
        elif line.startswith("│ ") and line[2] != " ":
            panels[name].append(line.split()[1])
    # A misspelled panel would be a panel of its own; a command without one is in "Commands".
    known = {"Keywords and voices", "Search", "Data", "Training", "Evaluation and comparison"}
    assert set(panels) == {"Options", *known}
    assert panels["Keywords and voices"][:3] == ["demo", "enroll", "detect"]
    assert {*panels["Search"]} == {"index", "search"}
    assert "prepare" in panels["Data"]
    assert "train" in panels["Training"]
    assert "evaluate" in panels["Evaluation and comparison"]


CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.mark.parametrize("group", ["", "prepare"])
def test_the_one_file_of_contributing_adds_a_command(tmp_path, group):
    blocks = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL)
    (source,) = (block for block in blocks if "@command(" in block)
    copy = tmp_path / "earmark"
    shutil.copytree(
        Path(earmark.__file__).parent, copy, ignore=shutil.ignore_patterns("*.onnx", "*.flac", "__pycache__")
    )
    (copy / "cli" / group / "count.py").write_text(source)
    (tmp_path / "a.wav").touch()
    (tmp_path / "words.tsv").write_text("path\tlabel\na.wav\tyes\n")

    def run(*arguments):
        path = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return earmark_command(*filter(None, [group]), *arguments, env=path, cwd=tmp_path).stdout

    shown = run("--help")
    assert "Count the clips of a manifest." in shown[shown.index("─ Data ─") :]
    assert "earmark count words.tsv" in run("count", "--help")
    assert run("count", "words.tsv") == "1\n"


def test_the_version_is_printed():
    assert earmark_command("--version").stdout == f"earmark {earmark.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [("enrol",), ("detect", "a.wav", "--thresold", "1"), ("detect", "a.wav", "--threshold", "x")],
)
def test_wrong_usage_exits_with_2_and_no_traceback(arguments):
    result = earmark_command(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [(), ("jarvis", "home.earmark")])
def test_wrong_arguments_exit_with_2_and_one_line_with_an_example(run, arguments):
    code, _, err = run("keywords", "export", *arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert "earmark keywords export home.earmark" in err


def test_a_wrong_file_exits_with_2_and_one_line(tmp_path):
    result = earmark_command("enroll", "word", str(tmp_path / "absent.wav"), "--store", str(tmp_path / "s.earmark"))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path / 'absent.wav'}: no such file; check the path\n"


def test_failed_work_exits_with_1(run, takes, monkeypatch):
    def fail(*_arguments, **_how):
        raise earmark.EarmarkError("the work\nfailed")

    monkeypatch.setattr("earmark.spotting.enrollment.enroll", fail)
    result = run("enroll", "rise", *takes)
    assert (result.code, result.err) == (1, "error: the work failed\n")


def test_a_full_disk_is_one_line(run, takes, monkeypatch):
    def fail(*_arguments, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("earmark.spotting.enrollment.enroll", fail)
    result = run("enroll", "rise", *takes)
    assert (result.code, result.err) == (1, "error: [Errno 28] No space left on device\n")


def test_ctrl_c_exits_with_130(run, takes, monkeypatch):
    def interrupt(*_arguments, **_how):
        raise KeyboardInterrupt

    monkeypatch.setattr("earmark.spotting.enrollment.enroll", interrupt)
    assert run("enroll", "rise", *takes).code == 130


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m earmark --help | head -c 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    assert result.stderr == ""


def test_help_comes_at_once_because_nothing_heavy_is_imported():
    heavy = ["numpy", "onnxruntime", "soundfile", "pydantic", "matplotlib", "torch", "rich.progress"]
    heavy += ["earmark.cli.settings", "earmark.cli.train", "earmark.cli.evaluate"]
    script = f"import sys, earmark.cli; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert result.stdout == "[]\n"
    before = os.times()
    earmark_command("--help")
    after = os.times()
    # CPU time, which other work on the machine does not change; 0.3 s on a Xeon of 2023.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.5
