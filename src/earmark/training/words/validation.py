"""Validation of an encoder in training: few-shot trials of words or speakers on clean clips."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from earmark.core.errors import InputError
from earmark.evaluation import backends, metrics
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.nn.losses.cosine import unit

Embedder = Callable[[ClipBank, NDArray[np.int64]], Callable[[], Tensor]]

_TAKES = 5
_DRAWS = 8
_CLIPS_A_WORD = 60


class Validation:
    """Measures how well an encoder recognizes labels of validation clips from a few takes each.

    Each label is enrolled with five takes, and all other clips are trials. Takes are drawn eight times, and the metrics
    are the means of the draws. If fewer than two labels have more than five clips, one take is enrolled.

    Args:
        bank: labeled clips that are not in the training data.
        embedder: maps a bank and clip numbers to a function that embeds these clips with the current weights.

    Raises:
        InputError: fewer than two labels have two clips.
    """

    def __init__(self, bank: ClipBank, embedder: Embedder) -> None:
        count = np.bincount(bank.label[bank.label >= 0])
        self.takes = _TAKES if (count > _TAKES).sum() > 1 else 1
        clips = _sample_of_each(bank, self.takes, np.random.default_rng(0))
        self.label = bank.label[clips]
        self.embed = embedder(bank, clips)

    def measure(self) -> dict[str, float]:
        """Embed the clips, and compute closed-set ``accuracy``, ``eer``, and ``frr`` at 2.5 % FAR, as fractions."""
        embeddings = unit(self.embed()).cpu().numpy()
        return dict(
            zip(
                ("accuracy", "eer", "frr"),
                np.mean([self._draw(embeddings, n) for n in range(_DRAWS)], axis=0).tolist(),
                strict=True,
            )
        )

    def _draw(self, embeddings: np.ndarray, seed: int) -> tuple[float, float, float]:
        generator = np.random.default_rng(seed)
        words = np.unique(self.label)
        takes = np.concatenate(
            [generator.permutation(np.flatnonzero(self.label == word))[: self.takes] for word in words]
        )
        tests = np.setdiff1d(np.arange(len(self.label)), takes)
        scores = backends.score(embeddings[tests], embeddings[takes], np.repeat(np.arange(len(words)), self.takes))
        targets = np.searchsorted(words, self.label[tests])
        curve = metrics.error_curve(scores.ravel(), (targets[:, None] == np.arange(len(words))).ravel())
        return metrics.accuracy(scores, targets), metrics.equal_error_rate(curve), metrics.frr_at_far(curve, 0.025)


def _sample_of_each(bank: ClipBank, takes: int, generator: np.random.Generator) -> np.ndarray:
    """Choose up to 60 random clips of each label that has more than `takes` clips; return their numbers, ascending."""
    groups = [np.flatnonzero(bank.label == label) for label in range(len(bank.labels))]
    chosen = [generator.permutation(group)[:_CLIPS_A_WORD] for group in groups if len(group) > takes]
    if len(chosen) < 2:
        raise InputError(
            f"data.validation: two labels with more clips than takes are needed, not {len(chosen)}; add clips"
        )
    return np.sort(np.concatenate(chosen))
