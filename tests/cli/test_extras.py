import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from earmark.cli import console
from earmark.cli.extras import install_command, origin
from earmark.core.errors import MissingPackage, needs


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (None, 'pip install "earmark[train]"'),
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, 'pip install -e "/a b[train]"'),
        ({"url": "file:///a", "dir_info": {}}, 'pip install "/a[train]"'),
        ({"url": "file:///e-1-py3-none-any.whl", "archive_info": {}}, 'pip install "/e-1-py3-none-any.whl[train]"'),
        (
            {"url": "https://host/earmark.git", "vcs_info": {"vcs": "git"}},
            'pip install "earmark[train] @ git+https://host/earmark.git"',
        ),
    ],
)
def test_the_command_fits_the_installation(record, command):
    assert install_command("train", record and json.dumps(record)) == command


def test_in_the_folder_of_the_clone_the_command_is_short_and_uses_its_constraints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = {"url": Path.cwd().as_uri(), "dir_info": {"editable": True}}
    assert install_command("train", json.dumps(record)) == 'pip install -e ".[train]"'
    (tmp_path / "constraints.txt").touch()
    assert install_command("train", json.dumps(record)) == 'pip install -c constraints.txt -e ".[train]"'


def test_a_missing_package_is_a_typed_error_and_the_command_line_adds_the_command():
    with pytest.raises(MissingPackage) as caught, needs("search", alternative="use an exact search"):
        import_module("no_such_package.part")
    assert (caught.value.package, caught.value.extra) == ("no_such_package", "search")
    assert "pip" not in str(caught.value)
    line = console.one_line(caught.value)
    assert install_command("search", origin()) in line
    assert line.endswith(", or use an exact search")


def test_a_missing_module_of_earmark_is_no_missing_extra():
    with pytest.raises(ModuleNotFoundError), needs("train"):
        import_module("earmark.no_such_module")


@pytest.mark.parametrize("package", ["sklearn", "matplotlib"])
def test_an_evaluation_without_its_packages_names_the_extra(package):
    arguments = ["evaluate", "few-shot", ".", "--audio", "."]
    program = f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = {arguments!r}\nimport earmark.__main__"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {package}: ")
    assert "[evaluate]" in done.stderr
