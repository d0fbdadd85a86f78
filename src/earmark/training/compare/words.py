"""Runs the few-shot and open-set tests of a comparison on an embedder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import listed_label
from earmark.evaluation.embedders import Embedder
from earmark.evaluation.metrics import error_curve
from earmark.evaluation.protocols import few_shot, open_set
from earmark.evaluation.protocols.trials import ListPair, find_pairs, read_list, speakers_of
from earmark.training.compare.protocol import FewShotTest, OpenSetTest
from earmark.training.compare.results import OPEN_SET, Result

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class FewShot:
    """A few-shot test, which enrolls keywords with a few takes, with its lists of clips.

    Attributes:
        test: settings of the test.
        conditions: pairs of enrollment and test lists by condition.
        others: paths of clips of other words, the negative examples of SVMs.
    """

    test: FewShotTest
    conditions: Mapping[str, tuple[ListPair, ...]]
    others: tuple[str, ...]

    @classmethod
    def of(cls, test: FewShotTest) -> Self:
        """Read the enrollment and test lists of a few-shot test.

        Raises:
            InputError: a list cannot be read, or the lists lack a condition of the test.
        """
        found = find_pairs(test.lists, audio=test.audio)
        for condition in test.conditions:
            if condition not in found:
                raise InputError(f"{test.lists}: no list of condition {condition!r}; choose from {', '.join(found)}")
        wanted = {name: pairs for name, pairs in found.items() if not test.conditions or name in test.conditions}
        listed = test.lists / "train.txt"
        others = read_list(listed, audio=test.audio, repeats=True) if listed.is_file() else ()
        keywords = {word for pairs in wanted.values() for pair in pairs for word in pair.keywords}
        return cls(test, wanted, tuple(dict.fromkeys(clip.path for clip in others if clip.label not in keywords)))

    @property
    def paths(self) -> set[str]:
        """Paths of all clips, relative to the folder of the test."""
        return {path for pairs in self.conditions.values() for pair in pairs for path in pair.paths} | {*self.others}

    def evaluate(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Result]:
        """Score the test clips with each back-end, and compute its metrics in each condition.

        Args:
            vectors: embeddings by path.
            embedder: not used.
        """
        del embedder
        background = np.stack([vectors[path] for path in self.others]) if self.others else None
        results = []
        for backend in self.test.backends:
            scored = few_shot.score_vectors(self.conditions, vectors, backend=backend, background=background)
            for result in few_shot.compute_metrics(scored):
                pairs = scored[result.name]
                curve = error_curve(
                    np.concatenate([pair.scores.ravel() for pair in pairs]),
                    np.concatenate([pair.positive.ravel() for pair in pairs]),
                )
                numbers = {name: spread.mean for name, spread in result.numbers.items()}
                results.append(Result.of(self.test.name, result.name, backend, numbers, curve))
        return results


@dataclass(frozen=True)
class OpenSet:
    """An open-set test, which classifies target words among other words, with its lists of clips.

    Attributes:
        test: settings of the test.
        lists: training and test clips.
    """

    test: OpenSetTest
    lists: open_set.OpenSetLists

    @classmethod
    def of(cls, test: OpenSetTest) -> Self:
        """Read the training and test lists of an open-set test.

        Raises:
            InputError: a list cannot be read.
        """
        return cls(test, open_set.read_lists(test.lists, test.targets, audio=test.audio))

    @property
    def paths(self) -> set[str]:
        """Paths of all clips, relative to the folder of the test."""
        return {*self.lists.paths}

    def evaluate(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Result]:
        """Classify the test clips with each back-end, and compute its metrics.

        Args:
            vectors: embeddings by path.
            embedder: embedder that computed the vectors; its classifier is one of the back-ends.
        """
        head = open_set.Head(embedder.classify, tuple(map(listed_label, embedder.classes)))
        # A classifier without a class for unknown words, such as that of AP-FC, can reject by a threshold only.
        decides = {*head.classes} - {*self.lists.classes} if self.test.unknown == "cluster" else head.classes
        speakers = speakers_of(self.test.audio, self.lists.paths)
        results = []
        for backend in self.test.backends:
            if backend == "classifier" and not decides:
                continue
            scored = open_set.score(
                self.lists, vectors, backend=backend, unknown=self.test.unknown, head=head, speakers=speakers
            )
            numbers = {name: estimate.value for name, estimate in open_set.count(scored).numbers.items()}
            curve = error_curve(*open_set.detection_trials(scored)["all unknowns"])
            results.append(Result.of(self.test.name, OPEN_SET, backend, numbers, curve))
        return results
