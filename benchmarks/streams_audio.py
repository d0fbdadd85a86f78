"""Audio of the benchmark of streams: the place of a word in a clip, levels, mixtures, synthetic music, prompts."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave

Floats = NDArray[np.float64]

FRAME = SAMPLE_RATE // 100
HEADROOM = 0.95


def silence(duration_s: float) -> Wave:
    """Digital silence; a stream gets a little noise later."""
    return np.zeros(round(duration_s * SAMPLE_RATE), np.float32)


def levels_db(wave: Wave) -> Floats:
    """Level of each 10 ms, smoothed over 50 ms, in dB relative to full scale."""
    frames = wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.convolve(np.square(frames, dtype=np.float64).mean(axis=1), np.ones(5) / 5, "same")
    return 10 * np.log10(power + 1e-12)


def active_level_db(wave: Wave) -> float:
    """Level of speech without its pauses: the 80th percentile of `levels_db`."""
    levels = levels_db(wave)
    return float(np.percentile(levels, 80)) if len(levels) else -120.0


@dataclass(frozen=True)
class Spoken:
    """Where the word of a clip is.

    Attributes:
        start_s: start.
        end_s: end.
        clear: whether both times are reliable: the word is 20 dB above its surroundings and not at the clip's edges.
    """

    start_s: float
    end_s: float
    clear: bool


def find_spoken(wave: Wave) -> Spoken | None:
    """Find the word of a clip by its level; None in a clip without one.

    The benchmark does not use `earmark.find_speech`: the streams and the true times must not change with the code that
    is measured.
    """
    levels = levels_db(np.diff(wave, prepend=0))  # less rumble
    if not len(levels) or levels.max() < -75:
        return None
    peak, floor = np.percentile(levels, 98), np.percentile(levels[levels > -110], 10)
    loud = np.flatnonzero(levels > min(max(peak - 30, floor + 8), peak - 8))
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > 30) + 1)  # a pause of over 0.3 s ends a run
    best = max(runs, key=lambda run: float(np.sum(10 ** (levels[run] / 10))))
    if len(best) < 15:
        return None
    clear = peak - floor > 20 and best[0] > 5 and best[-1] < len(levels) - 6
    return Spoken(float(best[0] * FRAME / SAMPLE_RATE), float((best[-1] + 1) * FRAME / SAMPLE_RATE), bool(clear))


def cut(wave: Wave, spoken: Spoken | None) -> Wave:
    """The word of a clip; the whole clip where no word was found."""
    if spoken is None:
        return wave
    return wave[round(spoken.start_s * SAMPLE_RATE) : round(spoken.end_s * SAMPLE_RATE)]


def scaled_db(wave: Wave, gain_db: float) -> Wave:
    """A wave with a gain in dB."""
    return (wave * 10 ** (gain_db / 20)).astype(np.float32)


def limited(wave: Wave) -> Wave:
    """A wave whose peak is at most `HEADROOM`; a louder one is attenuated as a whole."""
    return (wave * min(1.0, HEADROOM / (np.abs(wave).max(initial=0) + 1e-9))).astype(np.float32)


def over(speech: Wave, noise: Wave, snr_db: float, speech_db: float | None = None) -> Wave:
    """Speech over noise of the same length, at a ratio of the active level of speech to the mean level of noise."""
    if speech_db is None:
        speech_db = active_level_db(speech)
    noise_db = 10 * np.log10(np.mean(np.square(noise, dtype=np.float64)) + 1e-12)
    return limited(speech + scaled_db(noise, speech_db - noise_db - snr_db))


def drawn(source: Wave, size: int, generator: np.random.Generator) -> Wave:
    """A random part of a wave, which repeats where it is too short."""
    start = int(generator.integers(len(source)))
    return np.take(source, np.arange(start, start + size), mode="wrap")


def music(duration_s: float, generator: np.random.Generator) -> Wave:
    """Synthetic music: a progression of four chords, an arpeggio and drums, with random key, tempo and timbre."""
    beat = round(60 / generator.uniform(70, 150) * SAMPLE_RATE)
    scale = np.array(((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))[int(generator.integers(2))])
    root, roots = generator.integers(40, 56), generator.choice(7, 4)
    harmonics = 1 / np.arange(1, 9) ** generator.uniform(0.8, 2.5)
    wave = np.zeros(round(duration_s * SAMPLE_RATE) + 8 * beat, np.float32)

    def add(sound: Wave, at: int, gain: float) -> None:
        stop = min(at + len(sound), len(wave))
        wave[at:stop] += gain * sound[: stop - at]

    def note(degree: int, size: int, octave: int = 0) -> Wave:
        pitch = root + 12 * (octave + degree // 7) + scale[degree % 7]
        return tone(440 * 2 ** ((pitch - 69) / 12), size, harmonics)

    gains = generator.uniform(0.3, 1, 3)
    for number, at in enumerate(range(0, len(wave) - 8 * beat, beat)):
        chord = int(roots[number // 4 % 4])
        if number % 4 == 0:
            for third in (0, 2, 4):
                add(note(chord + third, 4 * beat), at, 0.3 * gains[0])
        for step in range(2):
            add(note(chord + (0, 2, 4, 7)[(2 * number + step) % 4], beat, 1), at + step * beat // 2, 0.3 * gains[1])
        add(drum(number, generator), at, gains[2])
    return limited(wave[: round(duration_s * SAMPLE_RATE)])


def tone(frequency_hz: float, size: int, harmonics: Floats) -> Wave:
    """A decaying tone."""
    time_s = np.arange(size) / SAMPLE_RATE
    orders = np.arange(1, len(harmonics) + 1)
    kept = orders * frequency_hz < SAMPLE_RATE / 2
    phases = 2 * np.pi * frequency_hz * np.outer(orders[kept], time_s)
    decay = np.exp(-3 * time_s * SAMPLE_RATE / size) * np.minimum(1, time_s / 0.01)
    return (harmonics[kept] @ np.sin(phases) * decay / harmonics.sum()).astype(np.float32)


def drum(beat: int, generator: np.random.Generator) -> Wave:
    """A bass drum on even beats, a snare on odd ones."""
    time_s = np.arange(round(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    if beat % 2:
        return (generator.standard_normal(len(time_s)) * np.exp(-30 * time_s) * 0.3).astype(np.float32)
    return (np.sin(2 * np.pi * (50 * time_s + 8 * (1 - np.exp(-20 * time_s)))) * np.exp(-15 * time_s)).astype(
        np.float32
    )


def prompts(folder: Path) -> Iterator[tuple[str, Wave]]:
    """Decode the .g722 files below a folder in one call; yield their paths relative to it, and waves."""
    files = sorted(path for path in folder.rglob("*.g722") if "silence" not in path.parts)
    content = [path.read_bytes() for path in files]
    wave, start = ffmpeg(b"".join(content), ["-f", "g722"]), 0
    for path, packed in zip(files, content, strict=True):
        stop = start + 2 * len(packed)  # a byte of G.722 is two samples
        yield path.relative_to(folder).as_posix(), wave[start:stop]
        start = stop


def at_tempo(wave: Wave, tempo: float) -> Wave:
    """Change the tempo without the pitch."""
    given = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1"]
    return ffmpeg(wave.astype("<f4").tobytes(), given, ["-af", f"atempo={tempo}"])


def ffmpeg(content: bytes, given: list[str], effects: Sequence[str] = ()) -> Wave:
    """Convert audio with FFmpeg, which decodes G.722 and changes tempos."""
    if shutil.which("ffmpeg") is None:
        raise SystemExit("--prompts and --conditions need FFmpeg; install it, or leave both options out")
    command = ["ffmpeg", "-v", "error", *given, "-i", "-", *effects, "-f", "f32le", "-ar", str(SAMPLE_RATE), "-"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<f4").astype(np.float32)
