"""The recordings that a protocol's tests of speakers name, and what a system makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.data.lists import read_pairs
from earmark.data.manifest import Clip, read_manifest
from earmark.data.speaker_lists import read_split_list, speaker_naming
from earmark.errors import InputError
from earmark.evaluation import identification, verification
from earmark.evaluation.embedders import Embedder
from earmark.evaluation.metrics import error_curve
from earmark.training.comparison.protocol import IdentificationTest, VerificationTest
from earmark.training.comparison.verdict import IDENTIFICATION, VERIFICATION, Verdict, finite, thinned

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Recordings:
    """Recordings by known speakers.

    Attributes:
        paths: where they are.
        speakers: who speaks; "" where nothing says so.
    """

    paths: tuple[str, ...]
    speakers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def embeddings(self, vectors: Mapping[str, Floats]) -> Floats:
        """Their vectors, shape (n, d)."""
        return np.stack([vectors[path] for path in self.paths])


@dataclass(frozen=True)
class IdentificationLists:
    """What an identification test names.

    Attributes:
        test: from the protocol.
        recordings: to be given to their speakers.
    """

    test: IdentificationTest
    recordings: Recordings

    @classmethod
    def of(cls, test: IdentificationTest) -> "IdentificationLists":
        """Read the test's list or manifest.

        Raises:
            InputError: a list, manifest or recording that cannot be read, or a recording by nobody.
        """
        if test.manifest is not None:
            return cls(test, _in_manifest(test.manifest, test.split))
        assert test.list is not None
        assert test.audio is not None
        named = [utterance.path for utterance in read_split_list(test.list) if utterance.split == "test"]
        if not named:
            raise InputError(f"{test.list}: no line of 3, which are those to judge")
        speaker_of = speaker_naming(test.audio, beside=test.list)
        recordings = _placed(named, [speaker_of(path) for path in named], test.audio, test.list)
        if "" in recordings.speakers:
            path = named[recordings.speakers.index("")]
            raise InputError(f"{test.list}: nothing says who speaks in {path}; put manifest.tsv beside the list")
        return cls(test, recordings)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every recording to embed."""
        return self.recordings.paths

    @property
    def crops(self) -> tuple[int, int]:
        """Number and seed of the crops that are averaged."""
        return self.test.crops, self.test.seed if self.test.crops else 0

    @property
    def content(self) -> bytes:
        """Tells these lists from all others."""
        return repr(self.recordings).encode()

    def judge(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Verdict]:
        """How often a system's classes are right; nothing where it has none."""
        logits = embedder.classify(self.recordings.embeddings(vectors)) if embedder.classes else None
        if logits is None:
            return []
        found = identification.measure(logits, embedder.classes, self.recordings.speakers)
        numbers = {name: finite(estimate.value) for name, estimate in found.items()}
        return [Verdict(self.test.name, IDENTIFICATION, "classifier", numbers, ((), ()))]


@dataclass(frozen=True)
class VerificationLists:
    """What a verification test names.

    Attributes:
        test: from the protocol.
        recordings: what is paired.
        pairs: of them.
        cohort: strangers that normalise scores; perhaps none.
    """

    test: VerificationTest
    recordings: Recordings
    pairs: verification.Pairs
    cohort: Recordings

    @classmethod
    def of(cls, test: VerificationTest) -> "VerificationLists":
        """Read the test's pairs or manifest, and its cohort.

        Raises:
            InputError: a list, manifest or recording that cannot be read, or pairs of one kind alone.
        """
        cohort = Recordings((), ())
        if "as_norm" in test.backends:
            assert test.cohort is not None
            cohort = _in_manifest(test.cohort, test.cohort_split, of_each=test.cohort_clips)
        if test.manifest is not None:
            recordings = _in_manifest(test.manifest, test.split)
            return cls(test, recordings, verification.every_pair(recordings.speakers), cohort)
        assert test.pairs is not None
        assert test.audio is not None
        named, pairs = verification.listed_pairs(read_pairs(test.pairs))
        if pairs.is_same.all() or not pairs.is_same.any():
            raise InputError(
                f"{test.pairs}: every line begins with {int(pairs.is_same[0])}; error rates need both kinds"
            )
        speaker_of = speaker_naming(test.audio, beside=test.pairs)
        recordings = _placed(named, [speaker_of(path) for path in named], test.audio, test.pairs)
        return cls(test, recordings, pairs, cohort)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every recording to embed."""
        return self.recordings.paths + self.cohort.paths

    @property
    def crops(self) -> tuple[int, int]:
        """Number and seed of the crops that are averaged."""
        return self.test.crops, self.test.seed if self.test.crops else 0

    @property
    def content(self) -> bytes:
        """Tells these lists from all others."""
        pairs = self.pairs
        arrays = [part.tobytes() for part in (pairs.first, pairs.second, pairs.is_same)]
        return b"".join([repr((self.recordings, self.cohort)).encode(), *arrays])

    def judge(self, vectors: Mapping[str, Floats], embedder: Embedder) -> list[Verdict]:
        """How well scores tell pairs of one speaker from pairs of two."""
        del embedder
        embeddings = self.recordings.embeddings(vectors)
        verdicts = []
        for backend in self.test.backends:
            match backend:
                case "cosine":
                    scores = verification.score_pairs(embeddings, self.pairs)
                case "as_norm":
                    scores = self._normalised(embeddings, vectors)
            found = verification.measure(scores, self.pairs, self.recordings.speakers)
            numbers = {name: finite(estimate.value) for name, estimate in found.items()}
            curve = thinned(error_curve(scores, self.pairs.is_same))
            verdicts.append(Verdict(self.test.name, VERIFICATION, backend, numbers, curve))
        return verdicts

    def _normalised(self, embeddings: Floats, vectors: Mapping[str, Floats]) -> Floats:
        names, means = mean_directions(self.cohort.embeddings(vectors), self.cohort.speakers)
        return verification.as_norm(
            embeddings, self.pairs, means, self.test.top, speakers=self.recordings.speakers, cohort_speakers=names
        )


def mean_directions(embeddings: Floats, speakers: Sequence[str]) -> tuple[list[str], Floats]:
    """Speakers, and of each the mean of his unit embeddings.

    >>> mean_directions(np.float32([[2, 0], [0, 3], [0, 4]]), ["b", "a", "b"])
    (['a', 'b'], array([[0. , 1. ],
           [0.5, 0.5]], dtype=float32))
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.where(lengths > 0, lengths, 1)
    names, owner = np.unique(np.array(speakers), return_inverse=True)
    sums = np.zeros((len(names), unit.shape[1]), unit.dtype)
    np.add.at(sums, owner, unit)
    return [str(name) for name in names], sums / np.bincount(owner)[:, None].astype(unit.dtype)


def _in_manifest(path: Path, split: str, *, of_each: int = 0) -> Recordings:
    """The clips of a split, or the first so many of each speaker."""
    manifest = read_manifest(path)
    kept: list[Clip] = []
    heard: dict[str, int] = {}
    for clip in manifest.only(split):
        if not clip.speaker:
            raise InputError(f"{path}: {clip.path} names no speaker, and tests of speakers need one")
        if clip.start_s or clip.end_s is not None:
            raise InputError(f"{path}: {clip.path} is a part of a file; tests of speakers need whole files")
        heard[clip.speaker] = heard.get(clip.speaker, 0) + 1
        if not of_each or heard[clip.speaker] <= of_each:
            kept.append(clip)
    if not kept:
        splits = ", ".join(sorted({clip.split for clip in manifest}))
        raise InputError(f"{path}: no clip of split {split!r}; there are {splits}")
    return _placed([clip.path for clip in kept], [clip.speaker for clip in kept], manifest.folder, path)


def _placed(paths: Sequence[str], speakers: Sequence[str], folder: Path, where: Path) -> Recordings:
    for path in paths:
        if not (folder / path).is_file():
            raise InputError(f"{where}: no file {folder / path}; is {folder} the folder of this corpus?")
    return Recordings(tuple(str(folder / path) for path in paths), tuple(speakers))
