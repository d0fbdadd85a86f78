"""The README's tour runs, and its transcript is what the demo prints."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
@pytest.mark.usefixtures("shipped_background")
def test_the_tour_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EARMARK_STORE", str(tmp_path / "keywords.earmark"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tour,) = blocks("python")
    exec(compile(tour, "README.md", "exec"), {"__name__": "readme"})
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("hey jupiter: ")
    assert told[-1] == "['hey jupiter']"


def test_the_tour_is_short():
    (tour,) = blocks("python")
    assert len(tour.splitlines()) <= 24


@pytest.mark.slow
@pytest.mark.usefixtures("shipped_background")
def test_the_transcript_is_what_the_demo_prints(tmp_path):
    command = [sys.executable, "-m", "earmark", "demo", "--out", "earmark-demo.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (transcript,) = blocks("text")
    # Scores may differ in the last digit from machine to machine; what was heard may not.
    without_numbers = [re.sub(r"\d+(\.\d+)?", "#", line) for line in (done.stdout, transcript)]
    assert without_numbers[0].split() == without_numbers[1].split()
    assert done.stdout.splitlines()[-2] == transcript.splitlines()[-2]
    assert (tmp_path / "earmark-demo.png").stat().st_size > 10_000
