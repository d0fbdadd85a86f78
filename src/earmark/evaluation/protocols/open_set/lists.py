"""The lists of an open-set test: training, validation and test clips."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.evaluation.protocols.trials import TrialClip, read_list

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

SILENCE = "_silence_"


@dataclass(frozen=True)
class OpenSetLists:
    """Training, validation and test clips.

    Attributes:
        targets: labels to recognize.
        train: clips of targets and of seen unknowns.
        test: clips of targets, of seen and of unseen unknowns.
        validation: clips that thresholds and settings are chosen on; if empty, these are chosen on `train`.

    Raises:
        InputError: there is no target, a list lacks a target, the test list has no clip of an unknown word, or a test
            clip is in another list too.
    """

    targets: tuple[str, ...]
    train: tuple[TrialClip, ...]
    test: tuple[TrialClip, ...]
    validation: tuple[TrialClip, ...] = ()

    def __post_init__(self) -> None:
        """Check the lists against each other."""
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise InputError(
                f"targets: {', '.join(self.targets) or 'none'}; list one target or more, each of them once"
            )
        for name, clips in {"train": self.train, "test": self.test}.items():
            labels = {clip.label for clip in clips}
            if missing := [label for label in self.classes if label not in labels]:
                raise InputError(
                    f"{name} list: no clip of target {missing[0]!r}; choose among {', '.join(sorted(labels))}"
                )
        if all(clip.label in self.classes for clip in self.test):
            raise InputError("test list: all clips are of targets; add clips of other words")
        tested = {clip.path for clip in self.test}
        for name, clips in {"train": self.train, "val": self.validation}.items():
            if shared := next((clip.path for clip in clips if clip.path in tested), None):
                raise InputError(f"test list: {shared} is in the {name} list too; remove it from one of the two lists")

    @property
    def classes(self) -> tuple[str, ...]:
        """The targets, and silence if the training list has it."""
        has_silence = SILENCE not in self.targets and any(clip.label == SILENCE for clip in self.train)
        return (*self.targets, SILENCE) if has_silence else self.targets

    @property
    def paths(self) -> list[str]:
        """The recordings of all lists, sorted, without duplicates."""
        return sorted({clip.path for clips in (self.train, self.validation, self.test) for clip in clips})

    def truth(self, clips: Iterable[TrialClip]) -> Ints:
        """Index of each clip's class, shape (n,); for an unknown word, the number of classes."""
        index = {label: number for number, label in enumerate(self.classes)}
        return np.array([index.get(clip.label, len(index)) for clip in clips], np.intp)

    @property
    def is_seen(self) -> Bools:
        """Whether each test clip is of an unknown word that the training list has too, shape (n,)."""
        labels = {clip.label for clip in self.train}.difference(self.classes)
        return np.array([clip.label in labels for clip in self.test])


def read_lists(folder: Path, targets: Iterable[str], *, audio: Path | None = None) -> OpenSetLists:
    """Read train.txt, test.txt and an optional val.txt with `label path` lines.

    Args:
        folder: folder of the lists.
        targets: labels to recognize; spaces count as `_`.
        audio: folder of the corpus; if given, every recording must exist there.

    Raises:
        InputError: a list cannot be read, or the lists do not fit together, see `OpenSetLists`.
    """
    train = read_list(folder / "train.txt", audio=audio, repeats=True)
    test = read_list(folder / "test.txt", audio=audio)
    validation = read_list(folder / "val.txt", audio=audio) if (folder / "val.txt").is_file() else ()
    try:
        return OpenSetLists(tuple(listed_label(target) for target in targets), train, test, validation)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
