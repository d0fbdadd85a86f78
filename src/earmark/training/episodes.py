"""Episodes: batches of N words × M utterances, as metric learning wants them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from earmark.errors import InputError


class EpisodeSettings(BaseModel):
    """The shape of an episode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: int = Field(64, ge=2, description="N, words an episode")
    utterances: int = Field(4, ge=2, description="M, utterances a word")
    background: int = Field(0, ge=0, description="windows of `data.sounds` in each episode that are no word's positive")
    balance: float = Field(0.5, ge=0, le=1, description="0: every word is as likely; 1: as likely as it has clips")


class Episodes:
    """Draws episodes without end; draw number i depends on the seed and on i alone, so that a run can resume anywhere.

    Args:
        label: number of each clip's label, shape (clips,); clips with a negative label are never drawn.
        speaker: number of each clip's speaker, shape (clips,).
        settings: the shape of an episode.
        seed: of all draws.

    Raises:
        InputError: fewer words with two clips than an episode needs.
    """

    def __init__(
        self, label: NDArray[np.int64], speaker: NDArray[np.int64], settings: EpisodeSettings, seed: int
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.speaker = speaker
        order = np.argsort(label, kind="stable")
        order = order[label[order] >= 0]
        cuts = np.flatnonzero(np.diff(label[order])) + 1
        self.groups = [group for group in np.split(order, cuts) if len(group) >= 2]
        if len(self.groups) < settings.words:
            raise InputError(
                f"episodes.words: {settings.words} words asked for, but only {len(self.groups)} have two clips"
            )
        weight = np.array([len(group) for group in self.groups], np.float64) ** settings.balance
        self.weight = weight / weight.sum()

    def draw(self, number: int) -> NDArray[np.int64]:
        """Episode ``number``: clips, shape (N, M).

        Within a word, speakers differ as far as they can; a clip comes again only where the word has no other.
        """
        generator = np.random.default_rng((self.seed, number))
        words = generator.choice(len(self.groups), self.settings.words, replace=False, p=self.weight)
        return np.stack([self._utterances(self.groups[word], generator) for word in words])

    def _utterances(self, clips: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        clips = generator.permutation(clips)
        # How often the clip's speaker has come already: all firsts before all seconds.
        order = np.argsort(self.speaker[clips], kind="stable")
        speaker = self.speaker[clips][order]
        first = np.searchsorted(speaker, speaker, side="left")
        turn = np.empty(len(clips), np.int64)
        turn[order] = np.arange(len(clips)) - first
        chosen = clips[np.argsort(turn, kind="stable")]
        return np.resize(chosen, self.settings.utterances)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """All episodes from number 0 on."""
        number = 0
        while True:
            yield self.draw(number)
            number += 1
