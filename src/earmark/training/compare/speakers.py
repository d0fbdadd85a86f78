"""What a system makes of a protocol's tests of speakers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.core.numbers import finite
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
from earmark.training.compare.results import IDENTIFICATION, VERIFICATION, Verdict, thinned

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Identification:
    """A test of known speakers, and the recordings that it names.

    Raises:
        InputError: when made by `of`, for a list, manifest or recording that cannot be read, or one by nobody.
    """

    test: IdentificationTest
    trials: SpeakerTrials

    @classmethod
    def of(cls, test: IdentificationTest) -> "Identification":
        """Read the test's list or manifest."""
        if test.manifest is not None:
            return cls(test, read_manifest_trials(test.manifest, test.split))
        assert test.list is not None
        assert test.audio is not None
        return cls(test, read_identification(test.list, test.audio))

    @property
    def places(self) -> list[str]:
        """Where every recording lies that is to be embedded."""
        return _places(self.trials)

    @property
    def content(self) -> bytes:
        """Tells what is listed from all else."""
        return repr(self.trials).encode()

    def judge(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Verdict]:
        """How often a system's classes are right; nothing where it has none.

        Args:
            vectors: by place.
            embedder: made them.
        """
        logits = embedder.classify(_stacked(self.trials, vectors)) if embedder.classes else None
        if logits is None:
            return []
        found = identification.compute_metrics(logits, embedder.classes, list(self.trials.speakers.values()))
        numbers = {name: finite(estimate.value) for name, estimate in found.items()}
        return [Verdict(self.test.name, IDENTIFICATION, "classifier", numbers, ((), ()))]


@dataclass(frozen=True)
class Verification:
    """A test of pairs, the recordings that it names, and strangers that normalize scores, perhaps none.

    Raises:
        InputError: when made by `of`, for a list, manifest or recording that cannot be read, or pairs of one kind.
    """

    test: VerificationTest
    trials: SpeakerTrials
    cohort: SpeakerTrials | None

    @classmethod
    def of(cls, test: VerificationTest) -> "Verification":
        """Read the test's pairs or manifest, and its cohort."""
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
        trials.pairs(list(trials.files))  # pairs of one kind alone are found here, not after hours of training
        return cls(test, trials, cohort)

    @property
    def places(self) -> list[str]:
        """Where every recording lies that is to be embedded."""
        return _places(self.trials) + (_places(self.cohort) if self.cohort else [])

    @property
    def content(self) -> bytes:
        """Tells what is listed from all else."""
        return repr((self.trials, self.cohort)).encode()

    def judge(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Verdict]:
        """How well scores tell pairs of one speaker from pairs of two.

        Args:
            vectors: by place.
            embedder: made them.
        """
        del embedder
        paths = list(self.trials.files)
        speakers = [self.trials.speakers[path] for path in paths]
        embeddings, pairs = _stacked(self.trials, vectors), self.trials.pairs(paths)
        verdicts = []
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
            numbers = {name: finite(estimate.value) for name, estimate in found.items()}
            curve = thinned(error_curve(scores, pairs.is_same))
            verdicts.append(Verdict(self.test.name, VERIFICATION, backend, numbers, curve))
        return verdicts


def crops_of(test: IdentificationTest | VerificationTest) -> tuple[int, int]:
    """Number and seed of the crops that a test averages; where there are none, no seed matters."""
    return test.crops, test.seed if test.crops else 0


def _places(trials: SpeakerTrials) -> list[str]:
    return [str(place) for place in trials.files.values()]


def _stacked(trials: SpeakerTrials, vectors: Mapping[str, Floats]) -> Floats:
    return np.stack([vectors[place] for place in _places(trials)])
