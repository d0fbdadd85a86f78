"""Episodes: batches of N classes × M utterances, and background that is of no class.

One shape serves all losses. An episode of prototypes is N words × M utterances; a balanced batch of a classifier is
all classes × a few; a batch of targets and non-targets (Huh et al. 2021) is every target once and N' background clips.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from earmark.core.errors import InputError

Ints = NDArray[np.int64]


class EpisodeSettings(BaseModel):
    """The shape of an episode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: int = Field(64, ge=0, description="N, classes an episode; 0: all")
    utterances: int = Field(4, ge=1, description="M, utterances a class")
    background: int = Field(
        0, ge=0, description="B, clips in each episode that are no class's positive: of `data.sounds`, of no target"
    )
    balance: float = Field(0.5, ge=0, le=1, description="0: every class is as likely; 1: as likely as it has clips")


@dataclass(frozen=True)
class Episode:
    """One batch.

    Attributes:
        labels: number of each class, shape (N,).
        clips: numbers of the clips, shape (N, M).
        background: numbers of the clips that are of no class, shape (B,).
    """

    labels: Ints
    clips: Ints
    background: Ints

    @property
    def every_clip(self) -> Ints:
        """All clips, those of classes first, shape (N · M + B,)."""
        return np.concatenate([self.clips.ravel(), self.background])


class Episodes:
    """Draws episodes without end; draw number i depends on the seed and on i alone, so that a run can resume anywhere.

    Args:
        classes: the clips of each class, by its number.
        background: clips that are of no class, shape (n,).
        speaker: number of each clip's speaker, shape (clips,).
        settings: the shape of an episode.
        seed: of all draws.

    Warns:
        UserWarning: classes have too few clips to be drawn: two, or one where an episode has one of each.

    Raises:
        InputError: fewer classes with two clips than an episode needs, or no background where some is asked for.
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
            warnings.warn(f"{alone} of {len(classes)} classes have {clips}, and are left out", stacklevel=2)
        self.words = settings.words or len(self.groups)
        if len(self.groups) < max(2, self.words):
            raise InputError(
                f"episodes.words: {max(2, self.words)} classes asked for, but only {len(self.groups)} have "
                f"{'two clips' if needed > 1 else 'a clip'}"
            )
        if settings.background and not len(background):
            raise InputError("episodes.background: no clip of data.sounds is left to draw it from")
        self.numbers = np.array(sorted(self.groups))
        weight = np.array([len(self.groups[number]) for number in self.numbers], np.float64) ** settings.balance
        self.weight = weight / weight.sum()

    def draw(self, number: int) -> Episode:
        """Episode ``number``.

        Within a class, speakers differ as far as they can; a clip comes again only where the class has no other.
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
        # How often the clip's speaker has come already: all firsts before all seconds.
        order = np.argsort(self.speaker[clips], kind="stable")
        speaker = self.speaker[clips][order]
        first = np.searchsorted(speaker, speaker, side="left")
        turn = np.empty(len(clips), np.int64)
        turn[order] = np.arange(len(clips)) - first
        chosen = clips[np.argsort(turn, kind="stable")]
        return np.resize(chosen, self.settings.utterances)

    def __iter__(self) -> Iterator[Episode]:
        """All episodes from number 0 on."""
        number = 0
        while True:
            yield self.draw(number)
            number += 1
