import csv
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from earmark import audio, demo, find_speech

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """The folders that the benchmark reads, with a few copies of the demo's recordings in noise."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    takes = [audio.read(path) for path in demo.take_files()]
    stream = audio.read(demo.STREAM)[: 20 * audio.SAMPLE_RATE]

    def write(corpus: str, rows: list[tuple[str, str, str, str, np.ndarray]]) -> None:
        (folder / corpus).mkdir()
        with (folder / corpus / "manifest.tsv").open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(("path", "speaker", "label", "split"))
            for path, speaker, label, split, wave in rows:
                writer.writerow((path, speaker, label, split))
                (folder / corpus / path).parent.mkdir(exist_ok=True)
                audio.write(folder / corpus / path, wave + 0.002 * generator.standard_normal(len(wave)))

    def halves(take: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start_s, end_s = find_speech(take) or (0.0, 1.0)
        pad = np.zeros(3_200, np.float32)
        word = take[round(start_s * audio.SAMPLE_RATE) : round(end_s * audio.SAMPLE_RATE)]
        first, second = np.array_split(word, 2)
        return np.concatenate([pad, first, pad]), np.concatenate([pad, second, pad])

    write("wake_words", [(f"{n}.wav", "", "jupiter", "choose", takes[n % len(takes)]) for n in range(8)])
    cuts = [halves(takes[n % len(takes)]) for n in range(8)]
    write(
        "speech_commands_test",
        [
            (f"{word}/{n}.wav", str(n), word, "test", cut[k])
            for n, cut in enumerate(cuts)
            for k, word in enumerate(("no", "up"))
        ],
    )
    write("librispeech_one_each", [("0.wav", "0", "", "train", stream)])
    write("speechocean762", [(f"{n}.wav", str(n % 2), ("WELL NO", "WELL")[n // 2], "test", stream) for n in range(4)])
    write("noise_esc10", [(f"{n}.wav", "", "Rain", "noise", 0.1 * generator.standard_normal(80_000)) for n in range(2)])
    (folder / "trials" / "phrases").mkdir(parents=True)
    with (folder / "trials" / "phrases" / "phrases.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(("half", "phrase", "role", "speaker", "first", "second"))
        for n in range(8):
            role = "enroll" if n < 5 else "target"
            writer.writerow(("choose", "no up", role, n, f"no/{n}.wav", f"up/{n}.wav"))
        for role, first, second in (("swapped", "up/5.wav", "no/5.wav"), ("first only", "no/5.wav", "")):
            writer.writerow(("choose", "no up", role, 5, first, second))
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("shipped_background")
def test_the_benchmark_of_streams_measures_tiny_corpora(corpora, tmp_path):
    page = tmp_path / "streams.md"
    command = [sys.executable, str(ROOT / "benchmarks" / "streams.py"), "--data", str(corpora), "--out", str(page)]
    command += ["--streams", str(tmp_path / "streams"), "--workers", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(page.with_suffix(".json").read_text())
    value, low, high = numbers["misses"]["wake words"]["default"]
    assert 0 <= low <= value <= high <= 1
    assert value <= 1 / 3
    assert 3 <= numbers["words"]["wake words"]["jupiter"]["clips"] < 8  # each of the draws leaves out its five takes
    assert numbers["phrases"]["target"]["default"][0] > 0.5
    assert numbers["noise"]["events"] == 1
    assert page.with_suffix(".png").stat().st_size > 1000
    assert "| swapped |" in page.read_text(encoding="utf-8")


@pytest.fixture
def module(monkeypatch):
    """Import a module of the benchmarks by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return import_module


def test_peaks_are_the_highest_scores_that_are_far_enough_apart(module):
    scores = np.zeros(40, np.float32)
    scores[[3, 5, 17, 33]] = (0.8, 0.9, 0.5, 0.7)
    at, values = module("streams_measures").peaks(scores, 4)
    assert at[:3].tolist() == [5, 33, 17]
    np.testing.assert_allclose(values[:3], (0.9, 0.7, 0.5), rtol=1e-6)
    assert np.diff(np.sort(at)).min() >= 4


def test_the_word_of_a_clip_is_found_by_its_level(module):
    generator = np.random.default_rng(0)
    wave = 0.001 * generator.standard_normal(32_000)
    wave[12_000:20_000] += 0.2 * generator.standard_normal(8_000)
    find_spoken = module("streams_audio").find_spoken
    found = find_spoken(wave.astype(np.float32))
    assert found.clear
    assert found.start_s == pytest.approx(0.75, abs=0.03)
    assert found.end_s == pytest.approx(1.25, abs=0.03)
    assert find_spoken(np.zeros(32_000, np.float32)) is None
