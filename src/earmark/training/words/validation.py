"""How well an encoder in training tells words or speakers apart: few-shot trials on clean clips of no training."""

import numpy as np
from torch import nn

from earmark.core.errors import InputError
from earmark.evaluation import backends, metrics
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.words.lessons import Lesson

_TAKES = 5
_DRAWS = 8
_CLIPS_A_WORD = 60


class Validation:
    """Five takes of each label, all other clips as trials, mean of eight draws of the takes.

    Where fewer than two labels have more than five clips, one take is enough.

    Args:
        bank: labeled clips that nothing is learned from.
        lesson: embeds them.

    Raises:
        InputError: fewer than two labels with two clips.
    """

    def __init__(self, bank: ClipBank, lesson: Lesson) -> None:
        count = np.bincount(bank.label[bank.label >= 0])
        self.takes = _TAKES if (count > _TAKES).sum() > 1 else 1
        clips = _some_of_each(bank, self.takes, np.random.default_rng(0))
        self.label = bank.label[clips]
        self.embed = lesson.judge(bank, clips)

    def measure(self) -> dict[str, float]:
        """Closed-set ``accuracy``, ``eer`` and ``frr`` at a FAR of 2.5 %, as fractions."""
        embeddings = nn.functional.normalize(self.embed().float(), dim=1).cpu().numpy()
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


def _some_of_each(bank: ClipBank, takes: int, generator: np.random.Generator) -> np.ndarray:
    """Up to 60 clips of each label that has clips enough for takes and trials, numbers in rising order."""
    groups = [np.flatnonzero(bank.label == label) for label in range(len(bank.labels))]
    chosen = [generator.permutation(group)[:_CLIPS_A_WORD] for group in groups if len(group) > takes]
    if len(chosen) < 2:
        raise InputError(f"data.validation: two labels at least need two clips; there are {len(chosen)}")
    return np.sort(np.concatenate(chosen))
