"""Clip bank: a corpus decoded once into one memory-mapped file of 16-bit samples.

Training draws clips by number: an index into memory, without opening and decoding files.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.arrays import read_array, write_array
from earmark.core.audio import SAMPLE_RATE, Wave, read
from earmark.core.errors import InputError
from earmark.core.files import atomic_folder, read_json, write_json
from earmark.core.progress import Progress, follow, no_progress
from earmark.data.manifest import Clip, Manifest
from earmark.spotting.speech import find_speech

_FEW_FILES = 64
_Cut = tuple[NDArray[np.int16], tuple[int, int] | None]


@dataclass(frozen=True)
class ClipBank:
    """Clips of a corpus, packed into one array of samples.

    Attributes:
        samples: int16, shape (n,), memory-mapped; clip i is ``samples[start[i] : start[i] + length[i]]``.
        start: first sample of each clip, shape (clips,).
        length: samples of each clip, shape (clips,).
        spoken: first and last + 1 sample of the spoken part, relative to the clip's start, shape (clips, 2).
        level: RMS of the spoken part, in steps of a 16-bit sample, at least 1, shape (clips,).
        label: label number of each clip, shape (clips,); -1 for a clip without a label.
        speaker: speaker number of each clip, shape (clips,).
        labels: names of the labels.
        speakers: names of the speakers.
    """

    samples: NDArray[np.int16]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    spoken: NDArray[np.int64]
    level: NDArray[np.int64]
    label: NDArray[np.int64]
    speaker: NDArray[np.int64]
    labels: tuple[str, ...]
    speakers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start)

    def wave(self, clip: int) -> NDArray[np.float32]:
        """Return the samples of a clip, in [-1, 1], shape (length,)."""
        start = self.start[clip]
        return self.samples[start : start + self.length[clip]].astype(np.float32) / np.float32(32768)

    @classmethod
    def open(cls, folder: Path) -> "ClipBank":
        """Open the clip bank in a folder, which :func:`pack` wrote.

        Raises:
            InputError: the folder contains no complete bank.
        """
        try:
            names = read_json(folder / "names.json")
            index = np.array(read_array(folder / "index.npy"))  # writable, for torch
            # Copy-on-write: torch needs a writable array, and the file must not change.
            samples = np.memmap(folder / "samples.i16", np.int16, mode="c")
        except (InputError, OSError, ValueError) as error:
            raise InputError(
                f"{folder}: the folder has no clip bank ({error}); train again, so that the clips are packed into it"
            ) from None
        start, length, speech_start, speech_stop, level, label, speaker = index.T
        spoken = np.stack([speech_start, speech_stop], axis=1)
        return cls(
            samples, start, length, spoken, level, label, speaker, tuple(names["labels"]), tuple(names["speakers"])
        )


def pack(
    manifests: Sequence[Manifest],
    folder: Path,
    *,
    spoken: bool = True,
    workers: int | None = None,
    stamp: str | None = None,
    progress: Progress = no_progress,
) -> ClipBank:
    """Decode all clips of manifests into one clip bank, which is written atomically.

    If a clip has an end time, its spoken part is the whole clip. Otherwise the spoken part is detected, and a clip
    without speech is dropped.

    Args:
        manifests: the clips.
        folder: folder of the bank; an existing one is replaced.
        spoken: detect spoken parts; if false, the spoken part of every clip is the whole clip.
        workers: decoding processes; by default one per core, or none for a few files.
        stamp: description of the bank's source, written to ``stamp.json``.
        progress: called after each file.

    Raises:
        InputError: all clips lack speech, or a file cannot be read.
    """
    clips = [replace(clip, path=str(manifest.locate(clip))) for manifest in manifests for clip in manifest]
    labels = sorted({clip.label for clip in clips if clip.label})
    speakers = sorted({clip.speaker for clip in clips})
    label_number = {name: number for number, name in enumerate(labels)}
    speaker_number = {name: number for number, name in enumerate(speakers)}
    rows: list[tuple[int, ...]] = []
    total = 0
    with atomic_folder(folder, replace=True) as draft:
        with (draft / "samples.i16").open("wb") as bank:
            for clip, (samples, speech) in _decoded(clips, spoken, workers, f"packing {folder.name}", progress):
                if speech is not None:
                    bank.write(samples.tobytes())
                    names = label_number.get(clip.label, -1), speaker_number[clip.speaker]
                    level = np.sqrt(np.mean(samples[slice(*speech)].astype(np.float32) ** 2))
                    rows.append((total, len(samples), *speech, max(1, round(float(level))), *names))
                    total += len(samples)
        if not rows:
            raise InputError(
                f"{folder.name}: none of the clips for this bank contains speech; check the times in their manifests"
            )
        write_array(draft / "index.npy", np.array(rows, np.int64))
        write_json(draft / "names.json", {"labels": labels, "speakers": speakers})
        if stamp is not None:
            write_json(draft / "stamp.json", stamp)
    return ClipBank.open(folder)


def _decoded(
    clips: list[Clip], spoken: bool, workers: int | None, stage: str, progress: Progress
) -> Iterator[tuple[Clip, _Cut]]:
    """Decode clips, and yield each with its samples and spoken part, sorted by path and start.

    Args:
        clips: the clips, with absolute paths.
        spoken: detect spoken parts; if false, the spoken part of every clip is the whole clip.
        workers: decoding processes; by default one per core, or none for a few files.
        stage: name of the work for the progress.
        progress: counts files, each of which is decoded once.
    """
    clips = sorted(clips, key=lambda clip: (clip.path, clip.start_s))
    by_file = [list(group) for _, group in groupby(clips, key=lambda clip: clip.path)]
    decode = partial(_decode, spoken)
    with ExitStack() as stack:
        decoded: Iterable[list[_Cut]] = map(decode, by_file)
        # Starting processes takes longer than decoding a few files.
        if workers != 1 and (workers or len(by_file) > _FEW_FILES):
            pool = stack.enter_context(ProcessPoolExecutor(workers or os.cpu_count()))
            decoded = pool.map(decode, by_file, chunksize=16)
        for group, cuts in zip(follow(by_file, stage, progress), decoded, strict=True):
            yield from zip(group, cuts, strict=True)


def _decode(spoken: bool, clips: list[Clip]) -> list[_Cut]:
    """Decode the clips of one file, and return the samples and the spoken part of each; None if it has no speech."""
    wave = read(clips[0].path)
    return [_cut(wave, clip, spoken) for clip in clips]


def _cut(wave: Wave, clip: Clip, spoken: bool) -> _Cut:
    stop = len(wave) if clip.end_s is None else round(clip.end_s * SAMPLE_RATE)
    wave = wave[round(clip.start_s * SAMPLE_RATE) : stop]
    samples = (wave * 32767).round().clip(-32768, 32767).astype(np.int16)
    if clip.end_s is not None or not spoken:
        return samples, (0, len(samples)) if len(samples) else None
    speech = find_speech(wave)
    if speech is None:
        return samples, None
    return samples, (round(speech[0] * SAMPLE_RATE), min(len(samples), round(speech[1] * SAMPLE_RATE)))
