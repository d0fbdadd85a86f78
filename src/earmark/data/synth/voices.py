"""Voices of the installed synthesizers: draw their settings, and synthesize words."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
import soxr

from earmark.core.audio import SAMPLE_RATE, AudioError, Wave, read
from earmark.core.errors import EarmarkError, InputError

Engine = Literal["espeak-ng", "flite", "festival"]
PROGRAMS: Mapping[Engine, str] = {
    "espeak-ng": "apt install espeak-ng (Linux) or brew install espeak-ng (macOS)",
    "flite": "apt install flite (Linux) or brew install flite (macOS)",
    "festival": "apt install festival festvox-kallpc16k (Linux)",
}
ENGLISH_ACCENTS = (
    "en-us",
    "en-us",
    "en-us-nyc",
    "en-gb",
    "en-gb",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)
# Variants of espeak-ng that sound like speech, without the singing, robotic and demonic ones.
# fmt: off
VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "whisper", "whisperf", "croak",
    "klatt", "klatt2", "klatt3", "klatt4", "Andy", "Annie", "Alex", "Alicia", "Andrea", "Denis", "Diogo", "Gene",
    "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "adam", "anika", "antonio", "aunty",
    "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "grandma", "grandpa", "gustave", "iven", "iven2",
    "john", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob",
    "robert", "sandro", "shelby", "steph", "steph2", "travis", "victor", "zac",
)
# fmt: on
FLITE_VOICES = ("awb", "kal", "kal16", "rms", "slt")
# Mean pitch of the recorded voices in Hz; a pitch setting of 50 keeps it.
MEAN_HZ = {"awb": 130, "kal": 105, "kal16": 105, "rms": 100, "slt": 175, "kal_diphone": 105, "ked_diphone": 105}
USUAL_WPM = 170
# Pause between two words in audio of espeak-ng; it is longer than the closure of any stop consonant.
PAUSE_S = 0.8
# Samples of a frame of energy: 5 ms.
FRAME = SAMPLE_RATE // 200


class SynthError(EarmarkError):
    """A synthesizer is not installed, or makes no audio."""


@dataclass(frozen=True)
class Voice:
    """Settings of a synthesizer.

    Attributes:
        engine: the synthesizer.
        name: voice of the synthesizer; language+variant for espeak-ng.
        rate_wpm: words per minute.
        pitch: 0 to 99; 50 keeps the pitch of the recorded voice.
    """

    engine: Engine
    name: str
    rate_wpm: int
    pitch: int

    @property
    def id(self) -> str:
        """Name of the speaker in a manifest.

        >>> Voice("espeak-ng", "es+f2", 150, 60).id
        'espeak-ng_es+f2_r150_p60'
        """
        return f"{self.engine}_{self.name}_r{self.rate_wpm}_p{self.pitch}"

    @property
    def duration_factor(self) -> float:
        """Duration of a word relative to its duration at the synthesizer's usual rate."""
        return USUAL_WPM / self.rate_wpm

    @property
    def pitch_factor(self) -> float:
        """Pitch frequency relative to that of the recorded voice; the range from 0 to 99 is one octave."""
        return float(2 ** ((self.pitch - 50) / 99))


def draw_voices(
    language: str,
    n: int,
    rng: np.random.Generator,
    *,
    engines: Sequence[Engine],
    rate_wpm: tuple[int, int],
    pitch: tuple[int, int],
) -> list[Voice]:
    """Draw different voices of a language; the draw depends on which voices of festival are installed.

    Args:
        language: espeak-ng's code.
        n: number of voices.
        rng: random generator.
        engines: synthesizers to draw from.
        rate_wpm: slowest and fastest rate in words per minute.
        pitch: lowest and highest pitch, 0 to 99.

    Raises:
        InputError: no engine has the language, or the ranges are too narrow for n voices.
        SynthError: an engine is not installed.
    """
    speaking: list[Engine] = [engine for engine in engines if language == "en" or engine == "espeak-ng"]
    if not speaking:
        raise InputError(
            f"language {language!r} needs espeak-ng; add espeak-ng to the engines, or leave the language out",
            key="engines",
        )
    for engine in speaking:
        _require(engine)
    # espeak-ng has by far the most voices; the other engines sound more natural but have few voices.
    weights = np.array([{"espeak-ng": 0.5, "flite": 0.3, "festival": 0.2}[engine] for engine in speaking])
    voices: dict[str, Voice] = {}
    for _ in range(100 * n):
        if len(voices) == n:
            break
        engine = speaking[rng.choice(len(speaking), p=weights / weights.sum())]
        match engine:
            case "espeak-ng":
                accent = str(rng.choice(ENGLISH_ACCENTS)) if language == "en" else language
                variant = str(rng.choice(VARIANTS))
                name = f"{accent}+{variant}" if variant else accent
            case "flite":
                name = str(rng.choice(FLITE_VOICES))
            case "festival":
                name = str(rng.choice(festival_voices()))
        rate, tone = (int(rng.integers(*bounds, endpoint=True)) for bounds in (rate_wpm, pitch))
        voice = Voice(engine, name, rate, tone)
        voices[voice.id] = voice
    if len(voices) < n:
        raise InputError(
            f"language {language!r}: {n} different voices requested, but {len(voices)} found; widen rate_wpm or pitch"
        )
    return list(voices.values())


def speak(voice: Voice, words: Sequence[str]) -> Iterator[Wave | str]:
    """Synthesize words; yield the wave of each word at 16 kHz, or the reason why the word has no wave."""
    with tempfile.TemporaryDirectory(prefix="earmark-synth-") as name:
        folder = Path(name)
        match voice.engine:
            case "espeak-ng":
                yield from _espeak(voice, words, folder / "words.wav")
            case "flite":
                yield from (_flite(voice, word, folder / "word.wav") for word in words)
            case "festival":
                yield from _festival(voice, words, folder)


@cache
def festival_voices() -> tuple[str, ...]:
    """The installed English voices of festival whose rate and pitch can be set."""
    _require("festival")
    listed = _run(["festival", "-b", "(print (voice.list))"])
    known = [*MEAN_HZ, "cmu_us_slt_arctic_hts"]
    found = tuple(sorted(set(listed.decode().strip(" ()\n").split()) & set(known)))
    if not found:
        raise SynthError("festival: no English voice is installed; apt install festvox-kallpc16k")
    return found


def _require(engine: Engine) -> None:
    if shutil.which(engine) is None:
        raise SynthError(f"{engine}: not installed; {PROGRAMS[engine]}, or leave it out of the engines")


def _run(command: Sequence[str], timeout_s: float = 20.0) -> bytes:
    done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


def _spoken(command: Sequence[str], path: Path) -> Wave | str:
    path.unlink(missing_ok=True)
    try:
        _run(command)
        return read(path)
    except subprocess.TimeoutExpired:
        return "synthesizer hung"
    except subprocess.CalledProcessError:
        return "synthesizer failed"
    except AudioError:
        return "no audio"


def _espeak(voice: Voice, words: Sequence[str], path: Path) -> Iterator[Wave | str]:
    """Synthesize words with espeak-ng; yield as `speak` does.

    All words are in one call, with long pauses, because starting espeak-ng takes ten times as long as a word.
    """
    pause = f'<break time="{round(PAUSE_S * 1000)}ms"/>'
    text = "".join(f"<s>{escape(word)}</s>{pause}" for word in words)
    rate, pitch = str(voice.rate_wpm), str(voice.pitch)
    command = ["espeak-ng", "-v", voice.name, "-s", rate, "-p", pitch, "-m", "-w", str(path), "--"]
    together = _spoken([*command, f"<speak>{text}</speak>"], path)
    parts = [] if isinstance(together, str) else split_at_pauses(together)
    if len(parts) == len(words) and not isinstance(together, str):
        yield from (together[start:end] for start, end in parts)
        return
    # A word is silent or contains a pause, so that the parts cannot be assigned to words: synthesize each word alone.
    for word in words:
        yield _spoken([*command, f"<speak><s>{escape(word)}</s></speak>"], path)


def split_at_pauses(wave: Wave) -> list[tuple[int, int]]:
    """Split a wave at pauses longer than half of `PAUSE_S`; return first and one-past-last sample of each part."""
    n_frames = len(wave) // FRAME
    energy = np.square(wave[: n_frames * FRAME].reshape(n_frames, FRAME)).mean(axis=1)
    loud = np.flatnonzero(energy > max(1e-7, energy.max(initial=0.0) * 10**-4.5))
    if len(loud) == 0:
        return []
    # The wave is split in the middle of each pause; `spoken_part` finds the exact ends.
    half = round(PAUSE_S / 2 * SAMPLE_RATE)
    breaks = np.flatnonzero(np.diff(loud) * FRAME > half)
    middles = (loud[breaks] + loud[breaks + 1]) // 2 * FRAME
    edges = [0, *middles.tolist(), len(wave)]
    return list(pairwise(edges))


def _flite(voice: Voice, word: str, path: Path) -> Wave | str:
    hertz = MEAN_HZ[voice.name] * voice.pitch_factor
    features = ["--setf", f"duration_stretch={voice.duration_factor:.3f}", "--setf", f"int_f0_target_mean={hertz:.1f}"]
    return _spoken(["flite", "-voice", voice.name, *features, "-t", word, "-o", str(path)], path)


def _festival(voice: Voice, words: Sequence[str], folder: Path) -> Iterator[Wave | str]:
    """Synthesize words with festival; yield as `speak` does.

    All words are in one call, because festival takes a second to start.
    """
    lines = [f"(voice_{voice.name})", f"(Parameter.set 'Duration_Stretch {voice.duration_factor:.3f})"]
    if voice.name in MEAN_HZ:
        mean_hz = MEAN_HZ[voice.name] * voice.pitch_factor
        lines.append(f"(set! int_lr_params '((target_f0_mean {mean_hz:.1f}) (target_f0_std 14)"
                     " (model_f0_mean 170) (model_f0_std 34)))")  # fmt: skip
    for index, word in enumerate(words):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'(utt.save.wave (utt.synth (Utterance Text "{escaped}")) "{folder / str(index)}.wav" \'riff)')
    script = folder / "words.scm"
    script.write_text("\n".join(lines), encoding="utf-8")
    reason = "no audio"
    try:
        _run(["festival", "-b", str(script)], timeout_s=60 + 2.0 * len(words))
    except subprocess.TimeoutExpired:
        reason = "synthesizer hung"
    except subprocess.CalledProcessError:
        reason = "synthesizer failed"
    for index in range(len(words)):
        try:
            wave = read(folder / f"{index}.wav")
        except AudioError:
            yield reason
            continue
        # The HTS voice has no setting of rate or pitch, so it is resampled: faster playback sounds like a smaller
        # speaker, slower playback like a larger one.
        yield wave if voice.name in MEAN_HZ else soxr.resample(wave, SAMPLE_RATE * voice.pitch_factor**0.4, SAMPLE_RATE)
