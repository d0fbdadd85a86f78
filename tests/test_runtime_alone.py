"""The runtime works where nothing but its own dependencies is installed."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

_ABSENT = """
import importlib.abc, sys

ABSENT = {
    "faiss", "matplotlib", "onnx", "pandas", "pyarrow", "ray", "scipy", "sklearn", "torch", "wordfreq"
}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by the test)", name=name)

sys.meta_path.insert(0, Absent())
"""

_DEMO = """
import json
from pathlib import Path

import earmark
from earmark import audio

demo = Path(earmark.__file__).parent / "demo"
encoder = earmark.load_encoder()
takes = [audio.read(path) for path in sorted(demo.glob("take_*.flac"))]
keyword = earmark.enroll("hey jupiter", takes, encoder=encoder)
detector = earmark.Detector([keyword], encoder=encoder)
heard = [found for chunk in audio.blocks(demo / "stream.flac", 0.1) for found in detector.push(chunk)]
heard += detector.finish()
truth = [line.split("\\t")[:2] for line in (demo / "truth.tsv").read_text().splitlines()[1:]]
print(json.dumps({
    "heard": [[found.start_s, found.end_s] for found in heard],
    "truth": [[float(time_s) for time_s in times_s] for times_s in truth],
    "loaded": sorted({name.split(".")[0] for name in __import__("sys").modules} & ABSENT),
}))
"""


def run_alone(script: str) -> str:
    command = [sys.executable, "-c", _ABSENT + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("shipped_background")
def test_the_demo_is_enrolled_and_found_without_anything_but_the_runtime():
    result = json.loads(run_alone(_DEMO))
    assert result["loaded"] == []
    # Every detection is a true place, and at most one place is missed, of four by voices that did not enroll.
    assert len(result["heard"]) >= len(result["truth"]) - 1 > 0
    assert all(
        any(overlap_s(found, true) > 0.5 * length_s(true) for true in result["truth"]) for found in result["heard"]
    )


_INDEX = """
import json, tempfile
from pathlib import Path

from earmark import audio, demo, load_encoder
from earmark.search import QueryTake, Recording, open_index, query_from_takes, search, update_index

encoder = load_encoder()
index = Path(tempfile.mkdtemp()) / "demo.index"
update_index(index, [Recording(demo.STREAM)], encoder)
hits = search(open_index(index), query_from_takes("hey", [QueryTake(demo.take_files()[0])], encoder), top=2)
print(json.dumps({
    "found": [[hit.start_s, hit.end_s] for hit in hits],
    "loaded": sorted({name.split(".")[0] for name in __import__("sys").modules} & ABSENT),
}))
"""


def test_a_recording_is_indexed_and_searched_without_anything_but_the_runtime():
    result = json.loads(run_alone(_INDEX))
    assert result["loaded"] == []
    truth = [(3.45, 4.41), (9.04, 9.85), (14.70, 15.48), (20.24, 21.02)]
    assert all(any(overlap_s(found, true) > 0.5 * length_s(true) for true in truth) for found in result["found"])


@pytest.mark.slow
@pytest.mark.usefixtures("shipped_background")
def test_a_keyword_is_restricted_to_one_voice_without_anything_but_the_runtime():
    both, _, restricted = run_alone((EXAMPLES / "one_voice.py").read_text(encoding="utf-8")).partition("for Slt:")
    assert both.count("score") > restricted.count("score") == restricted.count("voice") > 0


def overlap_s(one: Sequence[float], other: Sequence[float]) -> float:
    return min(one[1], other[1]) - max(one[0], other[0])


def length_s(span: Sequence[float]) -> float:
    return span[1] - span[0]


def test_the_command_line_answers_without_anything_but_the_runtime():
    assert "enroll" in run_alone("from earmark.cli import app\napp(['--help'])")


def test_what_is_hidden_cannot_be_imported():
    with pytest.raises(AssertionError, match="hidden by the test"):
        run_alone("import scipy")


_HELP = """
from typer.main import get_command
from typer.testing import CliRunner

from earmark.cli import app


def leaves(command, words=()):
    commands = getattr(command, "commands", None) or {
        name: command.get_command(None, name) for name in getattr(command, "list_commands", lambda _: [])(None)
    }
    if not commands:
        yield words
    for name, inner in commands.items():
        yield from leaves(inner, (*words, name))


shown = list(leaves(get_command(app)))
assert len(shown) > 30, shown
for words in shown:
    result = CliRunner().invoke(app, [*words, "-h"])
    assert result.exit_code == 0, (words, result.exception)
print(len(shown))
"""


@pytest.mark.slow
def test_every_command_shows_its_help_without_any_extra():
    done = subprocess.run([sys.executable, "-c", _ABSENT + _HELP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
