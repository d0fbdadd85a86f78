"""The loss and the encoder of CONTRIBUTING.md, each added in two files to a copy of the package, train by a recipe."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

PROJECT = Path(__file__).parents[3]
CODE = re.findall(r"^```python\n(.*?)^```$", (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M | re.S)


def copy_of_the_package(folder: Path) -> Path:
    """Copy the sources; model files are linked."""

    def copy(source: str, to: str) -> None:
        if source.endswith(".py"):
            shutil.copyfile(source, to)
        else:
            os.symlink(source, to)

    shutil.copytree(PROJECT / "src" / "earmark", folder / "earmark", copy_function=copy)
    return folder / "earmark" / "training" / "nn"


def add(parts: Path, module: str, code: str, settings: str, after: str) -> None:
    """Write the part's file, and add it to the union that ends with the member `after`."""
    (parts / f"{module}.py").write_text(code, encoding="utf-8")
    union = parts / "__init__.py"
    text = union.read_text(encoding="utf-8")
    assert text.count(f"| {after},\n") == 1
    text = text.replace(f"| {after},\n", f"| {after}\n    | {settings},\n")
    line = f"from earmark.training.nn.{parts.name}.{module} import {settings}\n"
    union.write_text(text.replace("\nfrom typing", f"\n{line}from typing", 1), encoding="utf-8")


@pytest.mark.slow
def test_a_loss_and_an_encoder_are_two_files_each(table, tmp_path):
    networks = copy_of_the_package(tmp_path / "copy")
    loss, encoder = (next(code for code in CODE if f"class {name}(" in code) for name in ("Center", "Linear"))
    add(networks / "losses", "center", loss, "CenterSettings", after="TripletSettings")
    add(networks / "encoders", "linear", encoder, "LinearSettings", after="DenseSettings")
    recipe = table | {
        "scenes": {"kind": "center_crop"},
        "augment": {"kind": "one_of"} | {name: {"weight": 0} for name in ("room", "noise", "music", "speech")},
        "encoder": {"kind": "linear", "dimension": 4},
        "loss": {"kind": "center", "weight": 0.5},
    }
    (tmp_path / "recipe.toml").write_bytes(tomli_w.dumps(recipe).encode())
    done = subprocess.run(
        [sys.executable, "-m", "earmark", "train", "recipe.toml", "--run", "run", "--device", "cpu"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "copy")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
