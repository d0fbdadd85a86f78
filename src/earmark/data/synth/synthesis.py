"""Speak words with the synthesizers that are installed, for many voices, rates and pitches.

One FLAC file holds the words of one voice, one after another; the manifest says where each of them starts and ends.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from earmark.core.audio import SAMPLE_RATE, Wave, write
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.data.synth.voices import FRAME, Engine, SynthError, Voice, draw_voices, speak

# Silence between two words in a file, and what is kept around a word.
GAP_S = 0.1
MARGIN_S = 0.02
SHORTEST_S, LONGEST_S = 0.12, 3.0


class SynthSettings(BaseModel):
    """What to speak, and how varied.

    Attributes:
        voices: voice settings that speak each word.
        words_per_voice: about how many words one voice setting speaks; fewer words make more voices.
        engines: synthesizers to draw from; other languages than English need espeak-ng.
        languages: languages of the word list to speak; empty for all.
        rate_wpm: slowest and fastest rate in words a minute.
        pitch: lowest and highest pitch, 0 to 99 as espeak-ng counts.
        seed: of all draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    voices: int = Field(default=8, ge=1)
    words_per_voice: int = Field(default=60, ge=1)
    engines: tuple[Engine, ...] = ("espeak-ng", "flite", "festival")
    languages: tuple[str, ...] = ()
    rate_wpm: tuple[int, int] = (110, 230)
    pitch: tuple[int, int] = (15, 84)
    seed: int = 0

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, (low, high), (lowest, highest) in (
            ("rate_wpm", self.rate_wpm, (80, 450)),
            ("pitch", self.pitch, (0, 99)),
        ):
            if not lowest <= low <= high <= highest:
                raise ValueError(f"{name}: a rising range within {lowest} to {highest}, not {low} to {high}")
        return self


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
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
    words: dict[tuple[str, str], None] = {}
    for number, line in enumerate(text.splitlines(), 1):
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
        pool = draw_voices(
            language, n_voices, rng, engines=settings.engines, rate_wpm=settings.rate_wpm, pitch=settings.pitch
        )
        spoken: list[list[str]] = [[] for _ in pool]
        for word in by_language[language]:
            for index in rng.choice(len(pool), size=settings.voices, replace=False):
                spoken[index].append(word)
        shards += [Shard(language, voice, tuple(said)) for voice, said in zip(pool, spoken, strict=True) if said]
    return shards


def synthesize(
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
        SynthError: a synthesizer is not installed, or no word could be spoken.
        InputError: see `plan`.
    """
    started = time.monotonic()
    settings = settings or SynthSettings()
    folder = Path(folder)
    shards = plan(words, settings)
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


def _made(shards: Sequence[Shard], folder: Path, workers: int) -> Iterator[None]:
    if workers == 1:
        for shard in shards:
            _make(shard, folder)
            yield
        return
    with ProcessPoolExecutor(workers) as executor:
        futures: list[Future[None]] = [executor.submit(_make, shard, folder) for shard in shards]
        try:
            for future in as_completed(futures):
                future.result()
                yield
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
    if clips:
        audio = folder / f".{shard.stem}.partial.flac"
        write(audio, np.concatenate(pieces))
        audio.replace(folder / f"{shard.stem}.flac")
    record = folder / f".{shard.stem}.partial.json"
    record.write_text(json.dumps({"clips": clips, "failures": failures}, ensure_ascii=False), encoding="utf-8")
    record.replace(folder / f"{shard.stem}.json")
