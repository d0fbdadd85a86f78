"""Synthesize words with the installed synthesizers, in many voices, rates and pitches.

A FLAC file contains the words of one voice; the manifest has the start and end of each word.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from earmark.core.audio import SAMPLE_RATE, Wave, write
from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.core.files import atomic_path, read_json, write_json
from earmark.core.progress import Progress, follow, no_progress
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.data.synth.voices import FRAME, Engine, SynthError, Voice, draw_voices, speak

# Silence between two words in a file, and audio kept on each side of a word.
GAP_S = 0.1
MARGIN_S = 0.02
SHORTEST_S, LONGEST_S = 0.12, 3.0


class SynthSettings(Settings):
    """Settings of the voices of synthesized words."""

    voices: int = Field(8, ge=1, description="Number of voices per word.")
    words_per_voice: int = Field(
        60, ge=1, description="Approximate number of words per voice; fewer words give more voices."
    )
    engines: tuple[Engine, ...] = Field(
        ("espeak-ng", "flite", "festival"),
        description="Synthesizers to draw voices from; languages other than English need espeak-ng.",
    )
    languages: tuple[str, ...] = Field((), description="Languages of the list to synthesize; all if not given.")
    rate_wpm: tuple[int, int] = Field((110, 230), description="Slowest and fastest rate, in words per minute.")
    pitch: tuple[int, int] = Field((15, 84), description="Lowest and highest pitch, 0 to 99 as in espeak-ng.")
    seed: int = Field(0, description="Seed of all draws.")

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, (low, high), (lowest, highest) in (
            ("rate_wpm", self.rate_wpm, (80, 450)),
            ("pitch", self.pitch, (0, 99)),
        ):
            if not lowest <= low <= high <= highest:
                raise InputError(
                    f"{low} to {high} is not a range within {lowest} to {highest}; change the limits",
                    key=name,
                )
        return self


@dataclass(frozen=True)
class Shard:
    """Words of one voice that are written into one audio file."""

    language: str
    voice: Voice
    words: tuple[str, ...]

    @property
    def stem(self) -> str:
        """Name of the audio file without suffix; it depends on the words: no file of other words is reused."""
        content = "\n".join((self.language, self.voice.id, *self.words))
        return f"{self.language}_{self.voice.id}_{blake2b(content.encode(), digest_size=4).hexdigest()}"


@dataclass(frozen=True)
class SynthReport:
    """Numbers of a run that synthesizes words.

    Attributes:
        clips: number of clips.
        words: number of different labels.
        voices: number of different voices.
        speech_s: duration of the clips.
        failures: number of missing clips by reason.
        shards_made: number of files written by this run.
        shards_kept: number of files kept from earlier runs.
        elapsed_s: duration of this run.
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
    """Read a word list, lines `language<TAB>word`; empty lines and lines that begin with # are skipped.

    Returns:
        Pairs of language and word, each once, in the order of the list.

    Raises:
        InputError: the file is missing, a line has another format, or there are no words.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such word list; check the path")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8; save it as UTF-8") from None
    words: dict[tuple[str, str], None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        language, _, word = (part.strip() for part in line.partition("\t"))
        if not language or not word:
            raise InputError(f"{path}, line {number}: expected language<TAB>word, for example 'es<TAB>casa'")
        words[language, word] = None
    if not words:
        raise InputError(f"{path}: the word list is empty; write lines language<TAB>word")
    return list(words)


def label_of(language: str, word: str) -> str:
    """The label of a word: the word itself in English, with the language before it in other languages.

    >>> label_of("en", "river"), label_of("es", "casa")
    ('river', 'es:casa')
    """
    return word if language.split("-")[0] == "en" else f"{language}:{word}"


def spoken_part(wave: Wave) -> tuple[int, int] | None:
    """Find speech in clean synthetic audio: the first and the one-past-last sample; None if the audio is silent.

    Frames within 40 dB of the loudest frame are speech; 20 ms are kept on both sides.
    """
    n_frames = len(wave) // FRAME
    energy = np.square(wave[: n_frames * FRAME].reshape(n_frames, FRAME)).mean(axis=1)
    if n_frames == 0 or energy.max() < 1e-7:
        return None
    loud = np.flatnonzero(energy > energy.max() * 1e-4)
    margin = round(MARGIN_S * SAMPLE_RATE)
    return max(0, int(loud[0]) * FRAME - margin), min(len(wave), (int(loud[-1]) + 1) * FRAME + margin)


def plan(words: Sequence[tuple[str, str]], settings: SynthSettings) -> list[Shard]:
    """Draw voices, and distribute the words among them. The same words and settings give the same plan.

    Raises:
        InputError: a language has no words, or needs an engine that is not in the settings.
    """
    by_language: dict[str, list[str]] = {}
    for language, word in words:
        by_language.setdefault(language, []).append(word)
    for language in settings.languages:
        if language not in by_language:
            raise InputError(
                f"the word list has no words in {language!r}; choose among {', '.join(by_language)}", key="languages"
            )
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
    progress: Progress = no_progress,
) -> SynthReport:
    """Synthesize words into FLAC files in `folder`, and write `folder/manifest.parquet`.

    Files of an earlier run with the same words and settings are kept: an interrupted run continues.

    Args:
        words: pairs of language (espeak-ng's code) and word.
        folder: folder of the files, created if missing.
        settings: settings of the voices.
        workers: number of processes.
        progress: called after each file.

    Raises:
        SynthError: a synthesizer is not installed, or no word could be synthesized.
        InputError: see `plan`.
    """
    started = time.monotonic()
    settings = settings or SynthSettings()
    folder = Path(folder)
    shards = plan(words, settings)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in shards if not (folder / f"{shard.stem}.json").is_file()]
    kept = len(shards) - len(missing)
    for _ in follow(_made(missing, folder, workers), "synthesizing", progress, first=kept, total=len(shards)):
        pass
    clips: list[Clip] = []
    failures: Counter[str] = Counter()
    for shard in shards:
        record = read_json(folder / f"{shard.stem}.json")
        failures.update(record["failures"])
        clips += [Clip(**values) for values in record["clips"]]
    if not clips:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in failures.most_common())
        raise SynthError(f"{folder}: no word could be synthesized: {reasons}; choose other engines or words")
    write_manifest(Manifest(tuple(clips), folder), folder / "manifest.parquet")
    return SynthReport(
        clips=len(clips),
        words=len({clip.label for clip in clips}),
        voices=len({clip.speaker for clip in clips}),
        speech_s=sum((clip.end_s or 0.0) - clip.start_s for clip in clips),
        failures=dict(failures),
        shards_made=len(missing),
        shards_kept=kept,
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
    """Synthesize the words of a shard; write the audio file, then a JSON record of its clips and failures.

    If the record exists, the audio is complete.
    """
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
        with atomic_path(folder / f"{shard.stem}.flac") as draft:
            write(draft, np.concatenate(pieces))
    write_json(folder / f"{shard.stem}.json", {"clips": clips, "failures": failures})
