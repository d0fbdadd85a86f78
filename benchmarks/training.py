"""Clips per second of training input and of training steps, compared with the input pipeline of other trainers.

    python benchmarks/training.py [--repeats 5] [--device cpu]

This script reimplements the common pipeline of keyword and speaker trainers (voxceleb_trainer and its descendants):
each clip is decoded from its file, padded or cropped to one second, and augmented in NumPy and SciPy in the workers of
a DataLoader. earmark draws the same clips from a bank and applies the same augmentation with the same probabilities.
All audio is synthetic. All pipelines run in turn, several times, and the medians are written to
benchmarks/results/training.md.
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile as sf
import torch
from numpy.typing import NDArray
from page import options_parser, write_page
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from earmark.core.audio import SAMPLE_RATE
from earmark.data.manifest import Clip, Manifest
from earmark.training.batches.augment import AugmentationAudio, FieldSettings
from earmark.training.batches.augment.one_of import OneOfSettings
from earmark.training.batches.center_crop import CenterCropSettings
from earmark.training.batches.clip_bank import ClipBank, pack
from earmark.training.batches.scenes import Scenes, SceneSettings
from earmark.training.nn.encoders import (
    BCResNetSettings,
    ConvMixerSettings,
    EncoderSettings,
    FrameEncoder,
    ResSettings,
    StreamSettings,
)
from earmark.training.nn.losses.angular_prototypical import AngularPrototypical, AngularPrototypicalSettings
from earmark.training.nn.pooling import sum_windows

SIZE = SAMPLE_RATE
BATCH = 256
CLIPS = 8 * BATCH
WORDS = 32  # of an episode, with two utterances each

ENCODERS: dict[str, EncoderSettings] = {
    "res8-narrow": ResSettings(depth=8, maps=19),
    "res8": ResSettings(depth=8),
    "res15": ResSettings(depth=15),
    "BC-ResNet-1": BCResNetSettings(),
    "ConvMixer": ConvMixerSettings(),
    "tiny, scenes of 2 s": StreamSettings(widths=(8, 16, 32, 64, 96)),
}

OURS = "earmark"
BUSY = 0.85

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sound:
    """The files of a synthetic corpus.

    Attributes:
        clips: words of about one second.
        noise: recordings of 10 s.
        music: recordings of 10 s.
        speech: recordings of 10 s.
        rooms: impulse responses.
    """

    clips: list[Path]
    noise: list[Path]
    music: list[Path]
    speech: list[Path]
    rooms: list[Path]


def make_sound(folder: Path, generator: np.random.Generator) -> Sound:
    """Write a corpus of colored noise, which takes the same time to decode and mix as speech."""

    def write(name: str, count: int, seconds: tuple[float, float], decay_s: float = np.inf) -> list[Path]:
        paths = [folder / f"{name}_{number}.wav" for number in range(count)]
        for path in paths:
            size = round(generator.uniform(*seconds) * SAMPLE_RATE)
            wave = scipy.signal.lfilter([0.05], [1, -0.9], generator.standard_normal(size))
            sf.write(path, wave * np.exp(-np.arange(size) / SAMPLE_RATE / decay_s), SAMPLE_RATE, subtype="PCM_16")
        return paths

    return Sound(
        write("clip", CLIPS, (0.7, 1.1)),
        write("noise", 40, (10, 10)),
        write("music", 30, (10, 10)),
        write("speech", 30, (10, 10)),
        write("room", 50, (0.3, 0.7), decay_s=0.08),
    )


class CommonRecipe(Dataset[Tensor]):
    """The pipeline of other trainers: decodes and augments each clip separately, in double precision.

    Args:
        sound: the corpus. As these trainers do, long recordings are cut into pieces of 5 s, one every 3 s, so that less
            audio is decoded for a second of noise; impulse responses are in memory.
        folder: folder of the pieces.
        settings: probabilities and ranges.
    """

    def __init__(self, sound: Sound, folder: Path, settings: OneOfSettings) -> None:
        self.clips = sound.clips
        self.rooms = [sf.read(path)[0] for path in sound.rooms]
        effects = {"noise": sound.noise, "music": sound.music, "speech": sound.speech}
        self.pieces = {name: list(_pieces(paths, folder)) for name, paths in effects.items()}
        self.ranges = {"noise": settings.noise, "music": settings.music, "speech": settings.speech}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Tensor:
        wave = self._read(self.clips[index])
        match random.randrange(6):
            case 1:
                wave = self._reverberate(wave)
            case 2:
                wave = self._mix(wave, "music")
            case 3:
                wave = self._mix(wave, "speech")
            case 4:
                wave = self._mix(wave, "noise")
        return torch.from_numpy(wave.astype(np.float32))

    def _read(self, path: Path) -> Floats:
        wave, _ = sf.read(path)
        if len(wave) < SIZE:
            missing = SIZE - len(wave)
            return np.pad(wave, (missing // 2, missing - missing // 2))
        start = (len(wave) - SIZE) // 2
        return wave[start : start + SIZE]

    def _reverberate(self, wave: Floats) -> Floats:
        response = random.choice(self.rooms) * 10 ** (0.1 * random.uniform(-7, 3))
        return scipy.signal.convolve(wave, response, mode="full")[:SIZE]

    def _mix(self, wave: Floats, effect: str) -> Floats:
        options = self.ranges[effect]
        clean_db = 10 * np.log10(np.mean(wave**2) + 1e-4)
        mixed = wave.copy()
        for path in random.sample(self.pieces[effect], random.randint(*options.files)):
            noise, _ = sf.read(path)
            start = random.randint(0, len(noise) - SIZE)
            noise = noise[start : start + SIZE]
            noise_db = 10 * np.log10(np.mean(noise**2) + 1e-4)
            mixed += 10 ** ((clean_db - noise_db - random.uniform(*options.snr_db)) / 20) * noise
        return mixed


def _pieces(paths: list[Path], folder: Path) -> Iterator[Path]:
    for path in paths:
        wave, _ = sf.read(path)
        for start in range(0, len(wave) - 5 * SAMPLE_RATE, 3 * SAMPLE_RATE):
            piece = folder / f"{path.stem}_{start}.wav"
            sf.write(piece, wave[start : start + 5 * SAMPLE_RATE], SAMPLE_RATE, subtype="PCM_16")
            yield piece


class Ours:
    """The pipeline of earmark's recipes."""

    def __init__(self, bank: ClipBank, sound: Sound, settings: OneOfSettings, device: torch.device) -> None:
        self.device = device
        audio = AugmentationAudio(*map(_tensors, (sound.noise, sound.music, sound.speech, sound.rooms)))
        self.clips = CenterCropSettings().build(bank, audio.noise, device)
        self.augmentation = settings.build(audio, device)
        self.scenes = Scenes(bank, SceneSettings(), device)
        self.field = FieldSettings().build(audio, device)
        self.generator = torch.Generator().manual_seed(0)

    def centered(self, batch: int) -> Tensor:
        """Augmented clips of one second, shape (batch, n)."""
        numbers = torch.randint(CLIPS, (batch,), generator=self.generator)
        waves = self.clips.draw(self.clips.plan(numbers, self.generator))
        return self.augmentation.apply(waves, self.augmentation.plan(batch, SIZE, self.generator))

    def placed(self, batch: int) -> Tensor:
        """Augmented scenes, for encoders of streams."""
        numbers = torch.randint(CLIPS, (batch,), generator=self.generator)
        return self.field(self.scenes.draw(numbers, self.generator), self.generator)


def _tensors(paths: list[Path]) -> list[Tensor]:
    return [torch.from_numpy(sf.read(path, dtype="float32")[0]) for path in paths]


def seconds_of(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Wall time and CPU time of some work; CPU time includes the loader's workers."""
    _finish(device)
    begun, used = time.perf_counter(), _cpu_seconds()
    work()
    _finish(device)
    return time.perf_counter() - begun, _cpu_seconds() - used


def _cpu_seconds() -> float:
    """CPU time of this process and of its living children (Linux)."""
    children = [pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    columns = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in children]
    return time.process_time() + sum(int(c[11]) + int(c[12]) for c in columns) / os.sysconf("SC_CLK_TCK")


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Learner:
    """An encoder that is trained on episodes of augmented clips."""

    def __init__(self, settings: EncoderSettings, device: torch.device) -> None:
        self.model: nn.Module = settings.build().to(device)
        self.loss = AngularPrototypical(AngularPrototypicalSettings(), classes=WORDS, dimension=128).to(device)
        self.optimizer = torch.optim.Adam([*self.model.parameters(), *self.loss.parameters()], lr=1e-3)
        self.labels = torch.arange(WORDS, device=device)

    def learn(self, waves: Tensor) -> float:
        """One step: frontend, network, loss, backward, optimizer."""
        if isinstance(self.model, FrameEncoder):
            whole = torch.tensor([[0, waves.shape[1]]], device=waves.device).expand(len(waves), 2)
            embeddings = sum_windows(self.model(waves), whole, self.model)
        else:
            embeddings = self.model(waves)
        loss = self.loss(embeddings.unflatten(0, (WORDS, -1)), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def measure_input(
    ours: Ours, common: CommonRecipe, cores: list[int], repeats: int
) -> dict[tuple[int, str], list[tuple[float, float]]]:
    """Wall and CPU seconds of each pipeline for `CLIPS` clips, by number of cores and name of the pipeline."""
    costs: dict[tuple[int, str], list[tuple[float, float]]] = {}
    allowed = sorted(os.sched_getaffinity(0))
    for count in cores:
        os.sched_setaffinity(0, allowed[:count])
        torch.set_num_threads(count)
        ways: dict[str, Callable[[], object]] = {}
        for workers in sorted({0, count // 2, count} if count > 1 else {0}):
            loader = DataLoader(common, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
            ways[f"common recipe, {workers} worker{'s' * (workers != 1)}"] = partial(_exhaust, loader)
        ways[OURS] = lambda: [len(ours.centered(BATCH)) for _ in range(CLIPS // BATCH)]
        for work in ways.values():
            work()  # starts workers, fills caches
        for _ in range(repeats):
            for name, work in ways.items():
                costs.setdefault((count, name), []).append(seconds_of(work, ours.device))
    os.sched_setaffinity(0, allowed)
    return costs


def _exhaust(loader: DataLoader[Tensor]) -> None:
    for _ in loader:
        pass


@dataclass(frozen=True)
class Steps:
    """Training speed of one encoder.

    Attributes:
        weights: number of weights of the encoder.
        drawing: clips per second of the input pipeline.
        learning: clips per second of the rest of a step.
    """

    weights: int
    drawing: float
    learning: float

    def share(self, drawing: float) -> float:
        """Share of a step, in percent, for an input pipeline with `drawing` clips per second."""
        return 100 / (1 + drawing / self.learning)


def measure_steps(ours: Ours, repeats: int) -> dict[str, Steps]:
    """Training speed of each encoder on episodes of 32 words with two utterances each.

    On a CPU, speed is measured in CPU time of one thread, which other work on the machine changes least.
    """
    batch = 2 * WORDS
    torch.set_num_threads(1)
    clock = 1 if ours.device.type == "cpu" else 0
    results = {}
    for name, settings in ENCODERS.items():
        learner = Learner(settings, ours.device)
        source = ours.placed if isinstance(settings, StreamSettings) else ours.centered
        draw = partial(source, batch)
        learner.learn(draw())
        drawing, learning = [], []
        for _ in range(repeats):
            drawing.append(seconds_of(draw, ours.device)[clock])
            learning.append(seconds_of(partial(learner.learn, draw()), ours.device)[clock])
        weights = sum(parameter.numel() for parameter in learner.model.parameters())
        results[name] = Steps(weights, batch / statistics.median(drawing), batch / statistics.median(learning))
    return results


def main() -> None:
    """Measure, print and write the tables."""
    parser = options_parser(__doc__, "training.md")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="where earmark augments and learns")
    options = parser.parse_args()
    device = torch.device(options.device)
    cores = len(os.sched_getaffinity(0))
    random.seed(0)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = make_sound(folder, np.random.default_rng(0))
        clips = [Clip(path.name, end_s=sf.info(path).duration, label="word") for path in sound.clips]
        bank = pack([Manifest(tuple(clips), folder)], folder / "bank")
        ours = Ours(bank, sound, OneOfSettings(), device)
        common = CommonRecipe(sound, folder, OneOfSettings())
        costs = measure_input(ours, common, sorted({1, cores}), options.repeats)
        steps = measure_steps(ours, min(3, options.repeats))
    table = "\n".join(render(costs, steps, cores, options.repeats, device))
    write_page(options.out, table)


def render(
    costs: dict[tuple[int, str], list[tuple[float, float]]],
    steps: dict[str, Steps],
    cores: int,
    repeats: int,
    device: torch.device,
) -> Iterator[str]:
    """The tables as lines of Markdown."""
    wall = {way: [CLIPS / seconds for seconds, _ in values] for way, values in costs.items()}
    rate = {way: statistics.median(values) for way, values in wall.items()}
    cpu = {way: statistics.median(used for _, used in values) / CLIPS * 1e6 for way, values in costs.items()}
    common = {c: max(rate[count, name] for count, name in rate if count == c and name != OURS) for c, _ in rate}
    frugal = {c: min(cpu[count, name] for count, name in cpu if count == c and name != OURS) for c, _ in cpu}
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    yield "# How fast training gets its input"
    yield ""
    yield f"One machine with {cores} cores, torch {torch.__version__} on {device.type} ({where}),"
    yield f"NumPy {np.__version__}, SciPy {scipy.__version__}. Made by `python benchmarks/training.py`."
    yield ""
    yield f"## Input: {CLIPS:,} words of about a second, cut to one second, each with one effect (Jung et al. 2023)"
    yield ""
    yield f"Clips a second in batches of {BATCH}, augmented and ready for the frontend; {repeats} runs in turn. The"
    yield "common recipe decodes every clip, and a piece of 5 s for every noise, from WAV files in the page cache, and"
    yield "augments with NumPy and SciPy in the workers of a DataLoader, or in the training process without workers."
    yield "earmark has one thread per core."
    yield ""
    got = max(used / seconds for (count, _), values in costs.items() if count == 1 for seconds, used in values)
    if got < BUSY:
        yield f"Other work kept the machine busy: work for one core got {100 * got:.0f} % of it. Times by the clock say"
        yield "little then; CPU times, in the right half of the table, can still be compared."
        yield ""
    yield "| cores | way | clips/s, median | least | most | × best common | CPU time a clip, µs | best common ÷ |"
    yield "|---|---|---|---|---|---|---|---|"
    for (count, name), values in wall.items():
        way = count, name
        yield (
            f"| {count} | {name} | {rate[way]:,.0f} | {min(values):,.0f} | {max(values):,.0f} "
            f"| {rate[way] / common[count]:.1f} | {cpu[way]:,.0f} | {frugal[count] / cpu[way]:.1f} |"
        )
    yield ""
    yield f"## A whole step: {WORDS} words, each said twice"
    yield ""
    yield "Learning is frontend, network, angular prototypical loss, backward pass and Adam; on a CPU, one thread and"
    yield "CPU time. The last column is the share of a step that the common recipe's input would take on that core."
    yield ""
    yield "| encoder | weights | learning, clips/s | input, clips/s | whole, clips/s | input takes | common takes |"
    yield "|---|---|---|---|---|---|---|"
    for name, step in steps.items():
        whole = 1 / (1 / step.drawing + 1 / step.learning)
        shares = f"{step.share(step.drawing):.1f} % | {step.share(1e6 / frugal[1]):.0f} %"
        yield f"| {name} | {step.weights:,} | {step.learning:,.0f} | {step.drawing:,.0f} | {whole:,.0f} | {shares} |"
    yield ""
    yield "The last row has another input: words among other words in scenes of 2 s, with every effect of `augment/`"
    yield "(kind `field`). The common recipe has no scenes; its share is the share for clips of one second."


if __name__ == "__main__":
    main()
