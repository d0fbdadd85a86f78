"""Enroll the keywords of the benchmark of streams, and run the detector over the streams in several processes."""

import multiprocessing
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from streams_sets import WORDS_AS_SPOKEN, Corpora, PhraseClip, StreamSet, phrase_clips, phrase_wave, word_clips

from earmark import Detection, Detector, DetectorSettings, EnrollmentError, Keyword, Take, audio, enroll, load_encoder
from earmark.core.audio import SAMPLE_RATE, Wave

Floats = NDArray[np.float32]

TAKES = 5
CHUNK = 1280
POSITIVES = {"wake words": ("wake words", "hard negatives"), "phrases": ("phrases",), "short words": ("short words",)}
NEGATIVES = ("speech", "mixtures", "noise")
IN_CHUNKS = ("wake words",)  # pushed chunk by chunk, to measure the delay


@dataclass(frozen=True)
class Trial:
    """A keyword and its kind.

    Attributes:
        keyword: enrolled with the default rate of false alarms.
        label: its word or phrase.
        kind: wake words, phrases or short words.
        takes: sources of its takes.
    """

    keyword: Keyword
    label: str
    kind: str
    takes: frozenset[str]

    @property
    def spoken(self) -> str:
        """The words as a transcript has them."""
        return WORDS_AS_SPOKEN.get(self.label, self.label)


@dataclass(frozen=True)
class Reported:
    """A detection, and the time at which `push` returned it; NaN where the file was one chunk."""

    detection: Detection
    reported_s: float


@dataclass(frozen=True)
class FileRun:
    """Result of one file.

    Attributes:
        streams: name of the set.
        file: number in the set.
        trials: numbers of the keywords.
        times_s: shape (t,).
        scores: shape (t, number of trials).
        reported: the detections of all keywords.
    """

    streams: str
    file: int
    trials: tuple[int, ...]
    times_s: Floats
    scores: Floats
    reported: tuple[Reported, ...]


@dataclass(frozen=True)
class Job:
    """A file to run: name of the set, number and path of the file, numbers of the keywords, and how to push it."""

    streams: str
    file: int
    path: Path
    trials: tuple[int, ...]
    in_chunks: bool


def enroll_words(corpora: Corpora, corpus: str, kind: str, draws: int) -> Iterator[Trial]:
    """Enroll each word with takes of mixed voices, several times with takes drawn anew."""
    folder = corpora.data / corpus
    for label, clips in sorted(word_clips(corpora, corpus).items()):
        for draw in range(draws):
            order = np.random.default_rng((5, draw)).permutation(len(clips))
            paths = [clips[index].path for index in order]
            yield enrolled(
                f"{label} {draw + 1}", label, kind, [(path, audio.read(folder / path)) for path in paths[:8]]
            )


def enroll_phrases(corpora: Corpora) -> Iterator[Trial]:
    """Enroll each phrase with its takes."""
    takes: dict[str, list[PhraseClip]] = {}
    for clip in phrase_clips(corpora):
        if clip.role == "enroll":
            takes.setdefault(clip.phrase, []).append(clip)
    for phrase, clips in sorted(takes.items()):
        yield enrolled(phrase, phrase, "phrases", [(clip.source, phrase_wave(corpora, clip)) for clip in clips])


def enrolled(
    name: str,
    label: str,
    kind: str,
    clips: Sequence[tuple[str, Wave]],
    count: int = TAKES,
    synthetic: Sequence[Take] = (),
) -> Trial:
    """Enroll the first `count` clips; the next clips replace those that `enroll` refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        takes = clips[:count]
        try:
            keyword = enroll(name, [wave for _, wave in takes], synthetic=synthetic)
        except EnrollmentError:
            takes = [clip for clip in clips if is_usable(clip[1])][:count]
            keyword = enroll(name, [wave for _, wave in takes], synthetic=synthetic)
    return Trial(keyword, label, kind, frozenset(source for source, _ in takes))


def is_usable(wave: Wave) -> bool:
    """Whether a clip alone can be enrolled."""
    try:
        enroll("take", [wave])
    except EnrollmentError:
        return False
    return True


def jobs_of(sets: dict[str, StreamSet], trials: Sequence[Trial]) -> list[Job]:
    """All files; keywords of one kind do not run in the words of another kind."""
    jobs = []
    for name, streams in sets.items():
        kind = name.split(",")[0]
        own = [number for number, trial in enumerate(trials) if kind in (*NEGATIVES, *POSITIVES[trial.kind])]
        for file, path in enumerate(streams.files if own else ()):
            jobs.append(Job(name, file, path, tuple(own), name in IN_CHUNKS))
    return jobs


def run(sets: dict[str, StreamSet], trials: Sequence[Trial], workers: int) -> list[FileRun]:
    """Score and detect the keywords in all files."""
    jobs = sorted(jobs_of(sets, trials), key=lambda job: not job.in_chunks)
    keywords = [trial.keyword for trial in trials]
    began, runs = time.perf_counter(), []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (keywords,)) as pool:
        for done in as_completed([pool.submit(_run_file, job) for job in jobs]):
            runs.append(done.result())
            if len(runs) % 10 == 0 or len(runs) == len(jobs):
                print(f"  {len(runs)} of {len(jobs)} files, {time.perf_counter() - began:.0f} s", flush=True)
    return sorted(runs, key=lambda done: (done.streams, done.file))


_KEYWORDS: list[Keyword] = []
_DETECTORS: dict[tuple[int, ...], Detector] = {}


def _begin(keywords: list[Keyword]) -> None:
    _KEYWORDS[:] = keywords


def _run_file(job: Job) -> FileRun:
    if job.trials not in _DETECTORS:
        # Each keyword is measured as if it were alone.
        settings = DetectorSettings(exclusive=False)
        keywords = [_KEYWORDS[number] for number in job.trials]
        _DETECTORS[job.trials] = Detector(keywords, encoder=load_encoder(), settings=settings)
    detector = _DETECTORS[job.trials]
    wave = audio.read(job.path)
    times_s, scores = detector.scores(wave)
    reported = tuple(_push(detector, wave) if job.in_chunks else _detect(detector, wave))
    return FileRun(job.streams, job.file, job.trials, times_s, scores, reported)


def _detect(detector: Detector, wave: Wave) -> Iterator[Reported]:
    for detection in detector.detect(wave):
        yield Reported(detection, np.nan)


def _push(detector: Detector, wave: Wave) -> Iterator[Reported]:
    for start in range(0, len(wave), CHUNK):
        for detection in detector.push(wave[start : start + CHUNK]):
            yield Reported(detection, (start + CHUNK) / SAMPLE_RATE)
    for detection in detector.finish():
        yield Reported(detection, len(wave) / SAMPLE_RATE)
