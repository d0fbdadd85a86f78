import ast
import subprocess
import sys
from pathlib import Path

import pytest

import earmark


def test_every_public_name_is_what_its_module_calls_so():
    for name in earmark.__all__:
        assert getattr(earmark, name) is not None
        assert name in dir(earmark)
    assert earmark.Detector.__module__ == "earmark.spotting.detector"
    assert earmark.core.audio.SAMPLE_RATE == 16_000


def test_type_checkers_and_the_interpreter_are_told_the_same_homes():
    told = {
        alias.name: node.module
        for node in ast.walk(ast.parse(Path(str(earmark.__file__)).read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("earmark.")
        for alias in node.names
    }
    homes = {**earmark._HOMES, "EarmarkError": "earmark.core.errors", "InputError": "earmark.core.errors"}
    assert told == homes
    assert {*homes, "audio", "__version__"} == set(earmark.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'earmark' has no attribute 'detect'"):
        _ = earmark.detect


def test_importing_earmark_loads_nothing_heavy():
    script = "import sys, earmark; print(*{'numpy', 'onnxruntime', 'pydantic', 'soundfile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_onnxruntime_is_told_not_to_report_home_before_it_is_imported():
    name = "ORT_DISABLE_TELEMETRY"
    script = f"import os; os.environ.pop({name!r}, 0); import earmark; print(os.environ[{name!r}])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
