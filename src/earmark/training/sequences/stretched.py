"""Sections of speech that are stretched to other tempos, and the frames of their segments."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip, Manifest
from earmark.training.batches.section_augment import SectionAugmentation, SectionAugmentSettings
from earmark.training.batches.time_stretch import Stretched, stretch
from earmark.training.sequences.frames import FrameSource, hop_s
from earmark.training.sequences.networks import Cut
from earmark.training.sequences.samplers import StretchedSegments
from earmark.training.words.corpus import open_or_pack

Ints = NDArray[np.int64]
_ROUNDING = 1e-6


class StretchedSections:
    """Stretches sections to two tempos each, and computes the frames of their segments.

    Args:
        sections: the sections; batches name a section by its number in this list.
        audio: folder that the paths of the sections start from.
        folder: folder of the clip bank with the audio of the sections.
        context_s: audio before and after a section that is stretched with it, in seconds.
        source: computes the frames.
        augment: augmentation settings.
        device: device that stretches waves.
        progress: counts recordings that are packed.

    Raises:
        InputError: a recording is missing, or ends before a section.
    """

    def __init__(
        self,
        sections: Sequence[Span],
        audio: Path,
        folder: Path,
        context_s: float,
        source: FrameSource,
        augment: SectionAugmentSettings,
        device: torch.device,
        *,
        progress: Progress = no_progress,
    ) -> None:
        self.source, self.device = source, device
        self.augmentation = SectionAugmentation(augment, device)
        recordings = AudioFolder(audio)
        self.begin_s = np.array([max(0.0, section.start_s - context_s) for section in sections])
        # The label of a clip is the number of its section.
        clips = tuple(
            Clip(str(recordings.locate(section.path).resolve()), begin_s, section.end_s + context_s, label=str(number))
            for number, (section, begin_s) in enumerate(zip(sections, self.begin_s.tolist(), strict=True))
        )
        self._bank = open_or_pack([Manifest(clips, audio)], folder, spoken=False, progress=progress)
        if len(self._bank) < len(sections):
            raise InputError(
                f"{audio}: {len(sections) - len(self._bank)} sections start after the end of their recording; correct "
                "their times in the list"
            )
        self._clip = np.empty(len(sections), np.int64)
        self._clip[[int(self._bank.labels[label]) for label in self._bank.label]] = np.arange(len(sections))

    def cuts(self, batch: StretchedSegments, rows: Ints) -> list[Cut]:
        """Stretch the sections of a batch, and cut the frames of some of its segments out of them.

        The bounds of a segment are the positions of its audio in the stretched wave. The published code instead divides
        its times by the tempo, and keeps at most 98 frames.

        Args:
            batch: a batch of N segments.
            rows: rows to cut, shape (n,), from 0 to 2 N - 1. Row 2 i is segment i in the first tempo of its section,
                row 2 i + 1 is the same segment in the second tempo.
        """
        segments = rows // 2
        keys, inside = np.unique(2 * batch.section_index[segments] + rows % 2, return_inverse=True)
        if self.augmentation.is_active:  # augments all variants, so that all processes draw the same random numbers
            keys, inside = np.arange(2 * len(batch.sections)), keys[inside]
        numbers = batch.sections[keys // 2]
        stretched = self._stretch(numbers, batch.tempo.ravel()[keys])
        generator = torch.Generator().manual_seed(batch.seed)
        waves = self.augmentation(stretched.waves, stretched.lengths, generator).cpu().numpy()
        lengths = stretched.lengths.tolist()
        frames = [self.source.frames(wave[:length]) for wave, length in zip(waves, lengths, strict=True)]
        bounds_s = batch.bounds[segments] - self.begin_s[numbers[inside]][:, None]
        stretched_s = _stretched_bounds(stretched, inside, bounds_s)
        return [
            self._cut(frames[variant], *bounds)
            for variant, bounds in zip(inside.tolist(), stretched_s.tolist(), strict=True)
        ]

    def _stretch(self, numbers: Ints, tempo: NDArray[np.float64]) -> Stretched:
        waves = [self._bank.wave(clip) for clip in self._clip[numbers].tolist()]
        lengths = torch.tensor([len(wave) for wave in waves])
        padded = torch.zeros(len(waves), int(lengths.max()))
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = torch.from_numpy(wave)
        return stretch(padded.to(self.device), torch.from_numpy(tempo), lengths)

    def _cut(self, frames: NDArray[np.float32], start_s: float, end_s: float) -> Cut:
        """Select the frames whose times are between `start_s` and `end_s`, or the nearest frame if there is none."""
        first, last = (np.array([start_s, end_s]) - self.source.first_s) / hop_s(self.source)
        begin = min(max(0, int(np.ceil(first - _ROUNDING))), len(frames) - 1)
        return Cut(frames, begin, max(begin + 1, min(len(frames), int(np.floor(last + _ROUNDING)) + 1)))


def _stretched_bounds(stretched: Stretched, inside: Ints, bounds_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find where each segment starts and ends in its stretched section, in seconds, shape (n, 2).

    Args:
        stretched: the stretched sections, two variants of each.
        inside: number of the variant that contains each segment, shape (n,).
        bounds_s: start and end of each segment before stretching, in seconds from the beginning of its section's audio,
            shape (n, 2).
    """
    order = np.argsort(inside, kind="stable")
    column = np.empty(len(inside), np.int64)
    column[order] = np.arange(len(inside)) - np.searchsorted(inside[order], inside[order])
    samples = np.zeros((len(stretched.waves), int(column.max()) + 1, 2))
    samples[inside, column] = bounds_s * SAMPLE_RATE
    positions = torch.from_numpy(samples).flatten(1).to(stretched.places.device)
    found = stretched.output_positions(positions).cpu().numpy().reshape(samples.shape)
    return np.asarray(found[inside, column] / SAMPLE_RATE, np.float64)
