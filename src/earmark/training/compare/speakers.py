"""Runs the identification and verification tests of a comparison on an embedder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation.embedders import Embedder
from earmark.evaluation.metrics import error_curve
from earmark.evaluation.protocols import identification, verification
from earmark.evaluation.protocols.speaker_trials import (
    SpeakerTrials,
    read_identification,
    read_manifest_trials,
    read_verification,
)
from earmark.training.compare.protocol import IdentificationTest, VerificationTest
from earmark.training.compare.results import IDENTIFICATION, VERIFICATION, Result

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Identification:
    """An identification test, which asks who of the training speakers is in a recording, with its recordings.

    Attributes:
        test: settings of the test.
        trials: the recordings and their speakers.
    """

    test: IdentificationTest
    trials: SpeakerTrials

    @classmethod
    def of(cls, test: IdentificationTest) -> Self:
        """Read the recordings and speakers of an identification test from its list or manifest.

        Raises:
            InputError: the list or a recording cannot be read, or a recording has no speaker.
        """
        if test.manifest is not None:
            return cls(test, read_manifest_trials(test.manifest, test.split))
        assert test.list is not None
        assert test.audio is not None
        return cls(test, read_identification(test.list, test.audio))

    @property
    def files(self) -> list[str]:
        """Paths of the recordings to embed."""
        return _files(self.trials)

    @property
    def content(self) -> bytes:
        """Bytes that identify the content of the lists."""
        return repr(self.trials).encode()

    def evaluate(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Result]:
        """Compute the accuracy with which an embedder's classifier recognizes the speakers.

        Without a classifier, there is no result.

        Args:
            vectors: embeddings by path.
            embedder: embedder that computed the vectors.
        """
        logits = embedder.classify(_stacked(self.trials, vectors)) if embedder.classes else None
        if logits is None:
            return []
        found = identification.compute_metrics(logits, embedder.classes, list(self.trials.speakers.values()))
        numbers = {name: estimate.value for name, estimate in found.items()}
        return [Result.of(self.test.name, IDENTIFICATION, "classifier", numbers)]


@dataclass(frozen=True)
class Verification:
    """A verification test, which asks whether two recordings are of one speaker, with its recordings.

    Attributes:
        test: settings of the test.
        trials: the recordings, their speakers, and the pairs.
        cohort: recordings of other speakers that normalize the scores, or None.
    """

    test: VerificationTest
    trials: SpeakerTrials
    cohort: SpeakerTrials | None

    @classmethod
    def of(cls, test: VerificationTest) -> Self:
        """Read the pairs of recordings of a verification test, and the recordings of its cohort.

        Raises:
            InputError: a list, manifest or recording cannot be read; or all pairs are of one kind.
        """
        cohort = None
        if "as-norm" in test.backends:
            assert test.cohort is not None
            cohort = read_manifest_trials(test.cohort, test.cohort_split, clips_per_speaker=test.cohort_clips or None)
        if test.manifest is not None:
            trials = read_manifest_trials(test.manifest, test.split)
        else:
            assert test.pairs is not None
            assert test.audio is not None
            trials = read_verification(test.pairs, test.audio)
        trials.pairs(list(trials.files))  # raises an error before hours of training if all pairs are of one kind
        return cls(test, trials, cohort)

    @property
    def files(self) -> list[str]:
        """Paths of the recordings to embed."""
        return _files(self.trials) + (_files(self.cohort) if self.cohort else [])

    @property
    def content(self) -> bytes:
        """Bytes that identify the content of the lists."""
        return repr((self.trials, self.cohort)).encode()

    def evaluate(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Result]:
        """Score the pairs of recordings with each back-end, and compute its metrics.

        Args:
            vectors: embeddings by path.
            embedder: not used.
        """
        del embedder
        paths = list(self.trials.files)
        speakers = [self.trials.speakers[path] for path in paths]
        embeddings, pairs = _stacked(self.trials, vectors), self.trials.pairs(paths)
        results = []
        for backend in self.test.backends:
            if backend == "as-norm":
                assert self.cohort is not None
                names, means = verification.mean_directions(
                    _stacked(self.cohort, vectors), list(self.cohort.speakers.values())
                )
                scores = verification.as_norm(
                    embeddings, pairs, means, self.test.top, speakers=speakers, cohort_speakers=names
                )
            else:
                scores = verification.score_pairs(embeddings, pairs)
            found = verification.compute_metrics(scores, pairs, speakers)
            numbers = {name: estimate.value for name, estimate in found.items()}
            curve = error_curve(scores, pairs.is_same)
            results.append(Result.of(self.test.name, VERIFICATION, backend, numbers, curve))
        return results


def crops_of(test: IdentificationTest | VerificationTest) -> tuple[int, int]:
    """Return the number and the seed of the random crops whose embeddings a test averages; without crops, (0, 0)."""
    return test.crops, test.seed if test.crops else 0


def _files(trials: SpeakerTrials) -> list[str]:
    return [str(file) for file in trials.files.values()]


def _stacked(trials: SpeakerTrials, vectors: Mapping[str, Floats]) -> Floats:
    return np.stack([vectors[file] for file in _files(trials)])
