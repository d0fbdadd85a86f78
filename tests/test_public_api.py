import subprocess
import sys

import pytest

import earmark
from earmark import public


def test_every_public_name_is_offered_by_the_package():
    for name in earmark.__all__:
        assert getattr(earmark, name) is getattr(public, name)
        assert name in dir(earmark)
    assert {"Detector", "KeywordStore", "audio", "enroll", "find_speech", "load_encoder"} <= {*earmark.__all__}
    assert earmark.Detector.__module__ == "earmark.spotting.detector"
    assert earmark.audio.SAMPLE_RATE == 16_000


def test_an_unknown_name_is_an_attribute_error():
    for name in ("detect", "_detect"):
        with pytest.raises(AttributeError, match=name):
            getattr(earmark, name)


def test_importing_earmark_loads_nothing_heavy():
    script = "import sys, earmark; print(*{'numpy', 'onnxruntime', 'pydantic', 'soundfile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.slow
def test_type_checkers_see_the_public_names(tmp_path):
    from mypy import api

    (tmp_path / "user.py").write_text("import earmark\nearmark.enroll('x', 'a.wav').rate\nearmark.load_encoder(0)\n")
    out, _, code = api.run([str(tmp_path / "user.py"), "--config-file", "", "--ignore-missing-imports"])
    assert (code, out.count("error:"), "user.py:3" in out) == (1, 1, True), out


def test_onnxruntime_telemetry_is_disabled_before_its_import():
    name = "ORT_DISABLE_TELEMETRY"
    script = f"import os; os.environ.pop({name!r}, 0); import earmark; print(os.environ[{name!r}])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
