"""The benchmark of expectations runs, with one word of each corpus."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.skipif(not (DATA / "dspspeech/manifest.tsv").exists(), reason="the recordings in shared/data are absent")
@pytest.mark.usefixtures("shipped_background")
def test_the_benchmark_of_expectations_writes_its_page_and_picture(tmp_path):
    page, picture = tmp_path / "page.md", tmp_path / "picture.png"
    command = [sys.executable, str(ROOT / "benchmarks/expectations.py"), "--data", str(DATA), "--words", "1"]
    subprocess.run(
        [*command, "--page", str(page), "--out", str(picture)], check=True, env=dict(os.environ), capture_output=True
    )
    assert picture.stat().st_size > 10_000
    rows = re.findall(
        r"^\| (\w+) \| \d+ \| 1 \| (.*?) \| ([\d.]+) % \|", page.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {corpus for corpus, _, _ in rows} == {"dspspeech", "kokoro_words", "speech_commands_test", "wake_words"}
    assert all(0 <= float(measured) <= 100 for _, _, measured in rows)
