"""The clip bank: a corpus decoded once into one memory-mapped file of 16-bit samples.

Training draws clips by number; a draw is an index into memory, not a file that is opened and decoded.
"""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, Wave, read
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest
from earmark.spotting.speech import find_speech
from earmark.training.run.progress import follow

_FEW_FILES = 64
_Cut = tuple[NDArray[np.int16], tuple[int, int] | None]


@dataclass(frozen=True)
class ClipBank:
    """Packed clips.

    Attributes:
        samples: int16, shape (n,), memory-mapped; clip i is ``samples[start[i] : start[i] + length[i]]``.
        start: first sample of each clip, shape (clips,).
        length: samples of each clip, shape (clips,).
        spoken: first and last + 1 sample of the spoken part, counted from the clip's start, shape (clips, 2).
        level: RMS of the spoken part in units of a 16-bit sample, at least 1, shape (clips,).
        label: number of each clip's label, shape (clips,); -1 for a clip without one.
        speaker: number of each clip's speaker, shape (clips,).
        labels: the labels' names.
        speakers: the speakers' names.
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
        """One clip in [-1, 1], shape (length,)."""
        start = self.start[clip]
        return self.samples[start : start + self.length[clip]].astype(np.float32) / np.float32(32768)

    @classmethod
    def open(cls, folder: Path) -> "ClipBank":
        """A bank that :func:`pack` wrote.

        Raises:
            InputError: there is no complete bank in the folder.
        """
        try:
            names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
            index = np.load(folder / "index.npy", allow_pickle=False)
            # Copy-on-write: torch wants a writable array, and the file stays as it is.
            samples = np.memmap(folder / "samples.i16", np.int16, mode="c")
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: no clip bank here ({error}); run earmark train to pack it") from None
        start, length, speech_start, speech_stop, level, label, speaker = index.T
        spoken = np.stack([speech_start, speech_stop], axis=1)
        return cls(
            samples, start, length, spoken, level, label, speaker, tuple(names["labels"]), tuple(names["speakers"])
        )


def pack(manifests: Sequence[Manifest], folder: Path, *, spoken: bool = True, workers: int | None = None) -> ClipBank:
    """Decode clips into a bank.

    A clip with times was cut by somebody who knew where the word is; a whole file is searched for its spoken part,
    and left out when it has none. The bank appears in one step, when it is complete.

    Args:
        manifests: the clips.
        folder: where the bank goes; one that stands there is replaced.
        spoken: search files for their spoken part; else all of a clip counts as spoken, and no clip is left out.
        workers: decoding processes; default: one a core.

    Raises:
        InputError: no clip holds speech, or a file cannot be read.
    """
    unfinished = folder.with_name(folder.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    clips = [replace(clip, path=str(manifest.locate(clip))) for manifest in manifests for clip in manifest]
    labels = sorted({clip.label for clip in clips if clip.label})
    speakers = sorted({clip.speaker for clip in clips})
    label_number = {name: number for number, name in enumerate(labels)}
    speaker_number = {name: number for number, name in enumerate(speakers)}
    # One decoding serves all clips that were cut from the same file.
    clips.sort(key=lambda clip: (clip.path, clip.start_s))
    by_file = [list(group) for _, group in groupby(clips, key=lambda clip: clip.path)]
    rows: list[tuple[int, ...]] = []
    total = 0
    with (unfinished / "raw").open("wb") as raw, ExitStack() as stack:
        decode = partial(_decode, spoken)
        decoded: Iterable[list[_Cut]] = map(decode, by_file)
        # Processes take longer to start than a few files to decode.
        if len(by_file) > _FEW_FILES and workers != 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers or os.cpu_count()))
            decoded = pool.map(decode, by_file, chunksize=16)
        for group, cuts in zip(follow(by_file, f"packing {folder.name}"), decoded, strict=True):
            for clip, (samples, speech) in zip(group, cuts, strict=True):
                if speech is not None:
                    raw.write(samples.tobytes())
                    names = label_number.get(clip.label, -1), speaker_number[clip.speaker]
                    level = np.sqrt(np.mean(samples[slice(*speech)].astype(np.float32) ** 2))
                    rows.append((total, len(samples), *speech, max(1, round(float(level))), *names))
                    total += len(samples)
    if not rows:
        raise InputError(f"{folder.name}: no clip holds speech; check the paths and times of its manifests")
    np.save(unfinished / "index.npy", np.array(rows, np.int64))
    (unfinished / "raw").rename(unfinished / "samples.i16")
    (unfinished / "names.json").write_text(json.dumps({"labels": labels, "speakers": speakers}), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return ClipBank.open(folder)


def _decode(spoken: bool, clips: list[Clip]) -> list[_Cut]:
    """Samples and spoken part of the clips of one file."""
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
