"""Episodes: batches of N classes × M utterances and B background clips.

One shape serves all losses. A prototypical episode is N words × M utterances; a balanced batch of a classifier is all
classes × a few; a batch of targets and non-targets (Huh et al. 2021) is every target once and N' background clips.
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
    """Settings of episodes."""

    words: int = Field(64, ge=0, description="N, classes per episode; 0: all")
    utterances: int = Field(4, ge=1, description="M, utterances per class")
    background: int = Field(0, ge=0, description="B, background clips per episode: of `data.sounds`, or of no target")
    balance: float = Field(
        0.5, ge=0, le=1, description="exponent of the number of clips in the probability of a class; 0: uniform"
    )


@dataclass(frozen=True)
class Episode:
    """One batch.

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
        """All clips: those of classes, then the background; shape (N · M + B,)."""
        return np.concatenate([self.clips.ravel(), self.background])


class Episodes:
    """Draws episodes; episode i depends on the seed and on i alone, so that a run can resume anywhere.

    Args:
        classes: clip numbers by class number.
        background: numbers of the background clips, shape (n,).
        speaker: speaker number of each clip, shape (clips,).
        settings: episode settings.
        seed: seed of the draws.

    Warns:
        UserWarning: classes are dropped that have fewer than two clips, or none where M is 1.

    Raises:
        InputError: too few classes have two clips, or there is no background clip for B > 0.
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
            warnings.warn(f"{alone} of {len(classes)} classes have {clips} and are dropped", stacklevel=2)
        self.words = settings.words or len(self.groups)
        if len(self.groups) < max(2, self.words):
            raise InputError(
                f"episodes.words: {max(2, self.words)} classes are needed, but only {len(self.groups)} have "
                f"{'two clips' if needed > 1 else 'a clip'}"
            )
        if settings.background and not len(background):
            raise InputError("episodes.background: data.sounds has no clip")
        self.numbers = np.array(sorted(self.groups))
        weight = np.array([len(self.groups[number]) for number in self.numbers], np.float64) ** settings.balance
        self.weight = weight / weight.sum()

    def draw(self, number: int) -> Episode:
        """Draw episode ``number``.

        Within a class, speakers repeat only after all speakers, and clips only after all clips.
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
        # Rank of a clip among those of its speaker: all first clips come before all second ones.
        order = np.argsort(self.speaker[clips], kind="stable")
        speaker = self.speaker[clips][order]
        first = np.searchsorted(speaker, speaker, side="left")
        rank = np.empty(len(clips), np.int64)
        rank[order] = np.arange(len(clips)) - first
        chosen = clips[np.argsort(rank, kind="stable")]
        return np.resize(chosen, self.settings.utterances)
