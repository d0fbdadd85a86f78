"""Speak words with the synthesisers that are installed, for many voices, rates and pitches.

One FLAC file holds the words of one voice, one after another; the manifest says where each of them starts and ends.
"""

import json
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.errors import EarmarkError, InputError

Wave = NDArray[np.float32]
Engine = Literal["espeak-ng", "flite", "festival"]
SAMPLE_RATE = 16_000

PROGRAMS: Mapping[Engine, str] = {
    "espeak-ng": "apt install espeak-ng (Linux) or brew install espeak-ng (macOS)",
    "flite": "apt install flite (Linux) or brew install flite (macOS)",
    "festival": "apt install festival festvox-kallpc16k (Linux) or brew install festival (macOS)",
}
ENGLISH_ACCENTS = ("en-us", "en-us", "en-us-nyc", "en-gb", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan",
                   "en-gb-x-gbcwmd", "en-029")  # fmt: skip
# Variants of espeak-ng that stay speech; the singing, robotic and demonic ones are left out.
VARIANTS = ("", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "whisper", "whisperf",
            "croak", "klatt", "klatt2", "klatt3", "klatt4", "Andy", "Annie", "Alex", "Alicia", "Andrea", "Denis", "Diogo",
            "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "adam", "anika", "antonio",
            "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "grandma", "grandpa", "gustave",
            "iven", "iven2", "john", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro",
            "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2", "travis", "victor", "zac")  # fmt: skip
FLITE_VOICES = ("awb", "kal", "kal16", "rms", "slt")
# The mean pitch that a voice is recorded at, in Hz: pitch 50 means this.
MEAN_HZ = {"awb": 130, "kal": 105, "kal16": 105, "rms": 100, "slt": 175, "kal_diphone": 105, "ked_diphone": 105}
USUAL_WPM = 170
GAP_S = 0.1
PAUSE_S = 0.8
MARGIN_S = 0.02
SHORTEST_S, LONGEST_S = 0.12, 3.0
FRAME = SAMPLE_RATE // 200


class SynthError(EarmarkError):
    """A synthesiser is missing, or spoke nothing at all."""


class SynthSettings(BaseModel):
    """What to speak, and how varied.

    Attributes:
        voices: voice settings that speak each word.
        words_per_voice: about how many words one voice setting speaks; fewer words make more voices.
        engines: synthesisers to draw from; other languages than English need espeak-ng.
        languages: languages of the word list to speak; empty for all.
        rate_wpm: slowest and fastest rate in words a minute.
        pitch: lowest and highest pitch, 0 to 99 as espeak-ng counts.
        seed: of all draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    voices: int = Field(8, ge=1)
    words_per_voice: int = Field(60, ge=1)
    engines: tuple[Engine, ...] = ("espeak-ng", "flite", "festival")
    languages: tuple[str, ...] = ()
    rate_wpm: tuple[int, int] = (110, 230)
    pitch: tuple[int, int] = (15, 85)
    seed: int = 0


@dataclass(frozen=True)
class Voice:
    """One setting of one synthesiser.

    Attributes:
        engine: the program.
        name: its voice; for espeak-ng language+variant.
        rate_wpm: words a minute.
        pitch: 0 to 99; 50 is the voice as recorded.
    """

    engine: Engine
    name: str
    rate_wpm: int
    pitch: int

    @property
    def id(self) -> str:
        """Stands for the speaker in the manifest.

        >>> Voice("espeak-ng", "es+f2", 150, 60).id
        'espeak-ng_es+f2_r150_p60'
        """
        return f"{self.engine}_{self.name}_r{self.rate_wpm}_p{self.pitch}"

    @property
    def stretch(self) -> float:
        """Duration relative to the usual rate."""
        return USUAL_WPM / self.rate_wpm

    @property
    def shift(self) -> float:
        """Pitch as a factor of the recorded voice's: an octave from 0 to 99."""
        return float(2 ** ((self.pitch - 50) / 99))


@dataclass(frozen=True)
class Shard:
    """The words that one voice speaks into one file."""

    language: str
    voice: Voice
    words: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The file's name; it changes with the words, so that an old shard is never taken for a new one."""
        content = "\n".join((self.language, self.voice.id, *self.words))
        return f"{self.language}_{self.voice.id}_{blake2b(content.encode(), digest_size=4).hexdigest()}"


@dataclass(frozen=True)
class SynthReport:
    """What a run made.

    Attributes:
        clips: clips in the manifest.
        words: different labels among them.
        voices: different voice settings among them.
        speech_s: their duration together.
        failures: reason to number of clips that are missing for it.
        shards_made: files written by this run.
        shards_kept: files that an earlier run had written.
        elapsed_s: how long this run took.
    """

    clips: int
    words: int
    voices: int
    speech_s: float
    failures: Mapping[str, int] = field(default_factory=dict)
    shards_made: int = 0
    shards_kept: int = 0
    elapsed_s: float = 0.0


def read_words(path: str | Path) -> list[tuple[str, str]]:
    """Read a word list: one `language<TAB>word` a line; empty lines and lines from # on are left out.

    Returns:
        Pairs of language and word, each once, in the list's order.

    Raises:
        InputError: no such file, a line of another form, or no words.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such word list")
    words: dict[tuple[str, str], None] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        language, _, word = (part.strip() for part in line.partition("\t"))
        if not language or not word:
            raise InputError(f"{path}, line {number}: expected language<TAB>word, for example 'es<TAB>casa'")
        words[language, word] = None
    if not words:
        raise InputError(f"{path}: the word list is empty")
    return list(words)


def label_of(language: str, word: str) -> str:
    """The label of a word: English words plain, others with their language.

    >>> label_of("en", "river"), label_of("es", "casa")
    ('river', 'es:casa')
    """
    return word if language.split("-")[0] == "en" else f"{language}:{word}"


def spoken_part(wave: Wave) -> tuple[int, int] | None:
    """The first and the one-past-last sample of speech in clean synthetic audio; None when it is silent.

    Frames within 40 dB of the loudest one are speech; 20 ms are kept on both sides.
    """
    n_frames = len(wave) // FRAME
    energy = np.square(wave[: n_frames * FRAME].reshape(n_frames, FRAME)).mean(axis=1)
    if n_frames == 0 or energy.max() < 1e-7:
        return None
    loud = np.flatnonzero(energy > energy.max() * 1e-4)
    margin = round(MARGIN_S * SAMPLE_RATE)
    return max(0, int(loud[0]) * FRAME - margin), min(len(wave), (int(loud[-1]) + 1) * FRAME + margin)


def plan(words: Sequence[tuple[str, str]], settings: SynthSettings) -> list[Shard]:
    """Draw voices and share the words out among them. The same words and settings give the same plan.

    Raises:
        InputError: a language of the settings has no words, or needs an engine that the settings leave out.
    """
    by_language: dict[str, list[str]] = {}
    for language, word in words:
        by_language.setdefault(language, []).append(word)
    for language in settings.languages:
        if language not in by_language:
            raise InputError(f"--languages: the word list has no {language!r}; it has {', '.join(by_language)}")
    shards = []
    for language in settings.languages or by_language:
        rng = np.random.default_rng([settings.seed, *language.encode()])
        n_words = len(by_language[language])
        n_voices = max(settings.voices, -(-n_words * settings.voices // settings.words_per_voice))
        pool = _draw_voices(language, n_voices, settings, rng)
        spoken: list[list[str]] = [[] for _ in pool]
        for word in by_language[language]:
            for index in rng.choice(len(pool), size=settings.voices, replace=False):
                spoken[index].append(word)
        shards += [Shard(language, voice, tuple(said)) for voice, said in zip(pool, spoken, strict=True) if said]
    return shards


def synthesise(
    words: Sequence[tuple[str, str]],
    folder: str | Path,
    settings: SynthSettings | None = None,
    *,
    workers: int = 1,
    on_shard: Callable[[int, int], None] | None = None,
) -> SynthReport:
    """Speak the words into FLAC files in `folder` and write `folder/manifest.parquet`.

    Files of an earlier run with the same words and settings are kept, so an interrupted run goes on where it stopped.

    Args:
        words: pairs of language (espeak-ng's code) and word.
        folder: made when absent.
        settings: what to draw; the defaults when None.
        workers: processes that speak at the same time.
        on_shard: called after each finished file with the number of finished files and of all files.

    Raises:
        SynthError: a synthesiser is not installed, or no word could be spoken.
        InputError: see `plan`.
    """
    started = time.monotonic()
    settings = settings or SynthSettings()
    folder = Path(folder)
    shards = plan(words, settings)
    for engine in {shard.voice.engine for shard in shards}:
        _require(engine)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in shards if not (folder / f"{shard.stem}.json").is_file()]
    for done, _ in enumerate(_made(missing, folder, workers), len(shards) - len(missing) + 1):
        if on_shard:
            on_shard(done, len(shards))
    clips: list[Clip] = []
    failures: Counter[str] = Counter()
    for shard in shards:
        record = json.loads((folder / f"{shard.stem}.json").read_text(encoding="utf-8"))
        failures.update(record["failures"])
        clips += [Clip(**values) for values in record["clips"]]
    if not clips:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in failures.most_common())
        raise SynthError(f"{folder}: no word could be spoken: {reasons}")
    write_manifest(Manifest(tuple(clips), folder), folder / "manifest.parquet")
    return SynthReport(
        clips=len(clips),
        words=len({clip.label for clip in clips}),
        voices=len({clip.speaker for clip in clips}),
        speech_s=sum((clip.end_s or 0.0) - clip.start_s for clip in clips),
        failures=dict(failures),
        shards_made=len(missing),
        shards_kept=len(shards) - len(missing),
        elapsed_s=time.monotonic() - started,
    )


def speak(voice: Voice, words: Sequence[str]) -> Iterator[Wave | str]:
    """Speak each word; yields its wave at 16 kHz, or the reason why there is none."""
    with tempfile.TemporaryDirectory(prefix="earmark-synth-") as name:
        folder = Path(name)
        match voice.engine:
            case "espeak-ng":
                yield from _espeak(voice, words, folder / "words.wav")
            case "flite":
                yield from (_flite(voice, word, folder / "word.wav") for word in words)
            case "festival":
                yield from _festival(voice, words, folder)


def _draw_voices(language: str, n: int, settings: SynthSettings, rng: np.random.Generator) -> list[Voice]:
    engines: list[Engine] = [engine for engine in settings.engines if language == "en" or engine == "espeak-ng"]
    if not engines:
        raise InputError(f"language {language!r} is spoken by espeak-ng only; add it to the engines or leave it out")
    # espeak-ng has by far the most voices; the others sound more natural but have a handful.
    weights = np.array([{"espeak-ng": 0.5, "flite": 0.3, "festival": 0.2}[engine] for engine in engines])
    voices: dict[str, Voice] = {}
    while len(voices) < n:
        engine = engines[rng.choice(len(engines), p=weights / weights.sum())]
        match engine:
            case "espeak-ng":
                accent = str(rng.choice(ENGLISH_ACCENTS)) if language == "en" else language
                variant = str(rng.choice(VARIANTS))
                name = f"{accent}+{variant}" if variant else accent
            case "flite":
                name = str(rng.choice(FLITE_VOICES))
            case "festival":
                name = str(rng.choice(festival_voices()))
        low, high = settings.rate_wpm
        voice = Voice(engine, name, int(rng.integers(low, high + 1)), int(rng.integers(*settings.pitch)))
        voices[voice.id] = voice
    return list(voices.values())


@cache
def festival_voices() -> tuple[str, ...]:
    """The English voices that festival has here, of those that earmark knows how to vary."""
    _require("festival")
    listed = _run(["festival", "-b", "(print (voice.list))"])
    known = [*MEAN_HZ, "cmu_us_slt_arctic_hts"]
    found = tuple(sorted(set(listed.decode().strip(" ()\n").split()) & set(known)))
    if not found:
        raise SynthError("festival: no English voice is installed; apt install festvox-kallpc16k")
    return found


def _require(engine: Engine) -> None:
    if shutil.which(engine) is None:
        raise SynthError(f"{engine}: no such program; {PROGRAMS[engine]}, or leave it out of --engines")


def _run(command: Sequence[str], timeout_s: float = 20.0) -> bytes:
    done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


def _load(path: Path) -> Wave:
    wave, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono: Wave = wave.mean(axis=1)
    resampled: Wave = mono if rate_hz == SAMPLE_RATE else soxr.resample(mono, rate_hz, SAMPLE_RATE)
    return resampled


def _spoken(command: Sequence[str], path: Path) -> Wave | str:
    path.unlink(missing_ok=True)
    try:
        _run(command)
        return _load(path)
    except subprocess.TimeoutExpired:
        return "synthesiser hung"
    except subprocess.CalledProcessError:
        return "synthesiser failed"
    except soundfile.LibsndfileError:
        return "no audio"


def _espeak(voice: Voice, words: Sequence[str], path: Path) -> Iterator[Wave | str]:
    """All words in one process, long pauses between them, because starting it costs ten times as much as a word."""
    pause = f'<break time="{round(PAUSE_S * 1000)}ms"/>'
    text = "".join(f"<s>{escape(word)}</s>{pause}" for word in words)
    rate, pitch = str(voice.rate_wpm), str(voice.pitch)
    command = ["espeak-ng", "-v", voice.name, "-s", rate, "-p", pitch, "-m", "-w", str(path), "--"]
    together = _spoken([*command, f"<speak>{text}</speak>"], path)
    stretches = [] if isinstance(together, str) else stretches_between_pauses(together)
    if len(stretches) == len(words) and not isinstance(together, str):
        yield from (together[start:end] for start, end in stretches)
        return
    # A word was silent, or holds a pause of its own: only one by one it is sure which is which.
    for word in words:
        yield _spoken([*command, f"<speak><s>{escape(word)}</s></speak>"], path)


def stretches_between_pauses(wave: Wave) -> list[tuple[int, int]]:
    """First and one-past-last samples of what lies between pauses of at least half of `PAUSE_S`."""
    n_frames = len(wave) // FRAME
    energy = np.square(wave[: n_frames * FRAME].reshape(n_frames, FRAME)).mean(axis=1)
    loud = np.flatnonzero(energy > max(1e-7, energy.max(initial=0.0) * 10**-4.5))
    if len(loud) == 0:
        return []
    # Cut in the middle of each pause; `spoken_part` finds the exact ends.
    half = round(PAUSE_S / 2 * SAMPLE_RATE)
    breaks = np.flatnonzero(np.diff(loud) * FRAME > half)
    middles = (loud[breaks] + loud[breaks + 1]) // 2 * FRAME
    edges = [0, *middles.tolist(), len(wave)]
    return list(pairwise(edges))


def _flite(voice: Voice, word: str, path: Path) -> Wave | str:
    hertz = MEAN_HZ[voice.name] * voice.shift
    features = ["--setf", f"duration_stretch={voice.stretch:.3f}", "--setf", f"int_f0_target_mean={hertz:.1f}"]
    return _spoken(["flite", "-voice", voice.name, *features, "-t", word, "-o", str(path)], path)


def _festival(voice: Voice, words: Sequence[str], folder: Path) -> Iterator[Wave | str]:
    """All words in one process, because festival takes a second to start."""
    lines = [f"(voice_{voice.name})", f"(Parameter.set 'Duration_Stretch {voice.stretch:.3f})"]
    if voice.name in MEAN_HZ:
        mean_hz = MEAN_HZ[voice.name] * voice.shift
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
        reason = "synthesiser hung"
    except subprocess.CalledProcessError:
        reason = "synthesiser failed"
    for index in range(len(words)):
        try:
            wave = _load(folder / f"{index}.wav")
        except soundfile.LibsndfileError:
            yield reason
            continue
        # The HTS voice has neither a rate nor a pitch to set; played faster it is a smaller speaker, played slower a larger one.
        yield wave if voice.name in MEAN_HZ else soxr.resample(wave, SAMPLE_RATE * voice.shift**0.4, SAMPLE_RATE)


def _made(shards: Sequence[Shard], folder: Path, workers: int) -> Iterator[None]:
    if workers == 1:
        for shard in shards:
            yield _make(shard, folder)
        return
    executor: Executor
    with ProcessPoolExecutor(workers) as executor:
        futures: list[Future[None]] = [executor.submit(_make, shard, folder) for shard in shards]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _make(shard: Shard, folder: Path) -> None:
    """Speak one shard. The record is written last: where it is, the audio is complete."""
    failures: Counter[str] = Counter()
    clips: list[dict[str, object]] = []
    gap = np.zeros(round(GAP_S * SAMPLE_RATE), dtype=np.float32)
    pieces: list[Wave] = [gap]
    position = len(gap)
    for word, wave in zip(shard.words, speak(shard.voice, shard.words), strict=True):
        bounds = None if isinstance(wave, str) else spoken_part(wave)
        if isinstance(wave, str) or bounds is None:
            failures[wave if isinstance(wave, str) else "silent"] += 1
            continue
        start, end = bounds
        if not SHORTEST_S <= (end - start) / SAMPLE_RATE <= LONGEST_S:
            failures["too short" if end - start < LONGEST_S * SAMPLE_RATE else "too long"] += 1
            continue
        clip = Clip(
            path=f"{shard.stem}.flac",
            start_s=position / SAMPLE_RATE,
            end_s=(position + end - start) / SAMPLE_RATE,
            speaker=shard.voice.id,
            label=label_of(shard.language, word),
            split="train",
            text=word,
        )
        clips.append(asdict(clip))
        pieces += [wave[start:end], gap]
        position += end - start + len(gap)
    partial = folder / f".{shard.stem}.partial"
    if clips:
        soundfile.write(partial, np.concatenate(pieces), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        partial.replace(folder / f"{shard.stem}.flac")
    record = json.dumps({"clips": clips, "failures": failures}, ensure_ascii=False)
    partial.write_text(record, encoding="utf-8")
    partial.replace(folder / f"{shard.stem}.json")
