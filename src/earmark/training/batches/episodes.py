"""Episodes: training batches of M utterances of each of N classes, and of B background clips.

All losses take batches of this shape. An episode of a prototypical loss has N words × M utterances. A balanced batch
of a classifier has all classes × a few utterances. A batch of targets and non-targets (Huh et al. 2021) has each target
once, and background clips as non-targets.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from earmark.core.config import Settings
from earmark.core.errors import InputError

Ints = NDArray[np.int64]


class EpisodeSettings(Settings):
    """Settings of an episode, a training batch: its numbers of classes, utterances and background clips."""

    words: int = Field(64, ge=0, description="N, classes per episode; 0: all")
    utterances: int = Field(4, ge=1, description="M, utterances per class")
    background: int = Field(0, ge=0, description="B, background clips per episode: of `data.sounds`, or of no target")
    balance: float = Field(
        0.5,
        ge=0,
        le=1,
        description="b; the probability of a class is proportional to (its number of clips)^b; 0: uniform",
    )


@dataclass(frozen=True)
class Episode:
    """The clips of one training batch: M clips of each of N classes, and B background clips, as clip numbers.

    Attributes:
        labels: class numbers, shape (N,).
        clips: clip numbers, shape (N, M).
        background: numbers of the background clips, shape (B,).
    """

    labels: Ints
    clips: Ints
    background: Ints

    @property
    def every_clip(self) -> Ints:
        """Numbers of all clips: the clips of the classes, then the background; shape (N · M + B,)."""
        return np.concatenate([self.clips.ravel(), self.background])


class Episodes:
    """Draws episodes, the random batches of a training.

    Episode i depends on the seed and i only, so that a run can resume at any step.

    Args:
        classes: clip numbers by class number.
        background: numbers of the background clips, shape (n,).
        speaker: speaker number of each clip, shape (clips,).
        settings: episode settings.
        seed: seed of the draws.

    Warns:
        UserWarning: classes with fewer than two clips are dropped; if M is 1, classes without a clip.

    Raises:
        InputError: too few classes have enough clips, or B > 0 and there is no background clip.
    """

    def __init__(
        self, classes: Mapping[int, Ints], background: Ints, speaker: Ints, settings: EpisodeSettings, seed: int
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.speaker = speaker
        self.background = background
        needed = min(2, settings.utterances)
        self.groups = {number: clips for number, clips in classes.items() if len(clips) >= needed}
        if alone := len(classes) - len(self.groups):
            clips = "fewer than two clips" if needed > 1 else "no clip"
            warnings.warn(
                f"{alone} of {len(classes)} classes have {clips} and are dropped; add clips to keep them",
                stacklevel=2,
            )
        self.words = settings.words or len(self.groups)
        if len(self.groups) < max(2, self.words):
            raise InputError(
                f"episodes.words: {max(2, self.words)} classes are needed, but only {len(self.groups)} have "
                f"{'two clips' if needed > 1 else 'a clip'}; add clips, or lower episodes.words"
            )
        if settings.background and not len(background):
            raise InputError(
                "episodes.background: batches need background clips, but there are none; add clips to data.sounds, or "
                "set episodes.background = 0"
            )
        self.numbers = np.array(sorted(self.groups))
        weight = np.array([len(self.groups[number]) for number in self.numbers], np.float64) ** settings.balance
        self.weight = weight / weight.sum()

    def draw(self, number: int) -> Episode:
        """Draw the clips of episode ``number``.

        Within a class, a speaker repeats only after all speakers were drawn, and a clip only after all clips.
        """
        generator = np.random.default_rng((self.seed, number))
        labels = generator.choice(self.numbers, self.words, replace=False, p=self.weight)
        clips = np.stack([self._utterances(self.groups[label], generator) for label in labels.tolist()])
        background = (
            generator.choice(self.background, self.settings.background) if len(self.background) else clips[:0, 0]
        )
        return Episode(labels, clips, background)

    def _utterances(self, clips: Ints, generator: np.random.Generator) -> Ints:
        clips = generator.permutation(clips)
        # Clips are sorted by their rank among the clips of their speaker: the first clip of every speaker comes first.
        order = np.argsort(self.speaker[clips], kind="stable")
        speaker = self.speaker[clips][order]
        first = np.searchsorted(speaker, speaker, side="left")
        rank = np.empty(len(clips), np.int64)
        rank[order] = np.arange(len(clips)) - first
        chosen = clips[np.argsort(rank, kind="stable")]
        return np.resize(chosen, self.settings.utterances)
