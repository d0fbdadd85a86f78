"""Judging a trained run by all tests and back-ends of a protocol; what was judged once is read again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark import __version__, audio
from earmark.core.audio import Wave
from earmark.core.errors import InputError
from earmark.core.numbers import finite
from earmark.core.progress import Progress, no_progress
from earmark.data.lists.clip_lists import listed_label
from earmark.evaluation.embedders import Embedder
from earmark.evaluation.embedding_cache import Key, embed_into
from earmark.evaluation.metrics import error_curve
from earmark.evaluation.protocols import few_shot, identification, open_set, verification
from earmark.evaluation.protocols.trials import ListPair, find_pairs, read_list, speakers_of
from earmark.training.compare.protocol import FewShotTest, OpenSetTest, Protocol
from earmark.training.compare.results import OPEN_SET, Verdict, thinned
from earmark.training.compare.speakers import Identification, Verification, crops_of
from earmark.training.export.checkpoint_embedder import load_embedder

Floats = NDArray[np.floating]

_CLIPS_AT_ONCE = 256


class Judge:
    """All lists of a protocol's tests, and their recordings, read once for all runs.

    Raises:
        InputError: lists or recordings that cannot be read, or a condition that the lists do not have.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.few_shot = [(test, _FewShotLists.of(test)) for test in protocol.few_shot]
        self.open_set = [
            (test, open_set.read_lists(test.lists, test.targets, audio=test.audio)) for test in protocol.open_set
        ]
        # Decoding sentences takes longer than embedding them by a small encoder; they are heard again for every run.
        self._read = cache(audio.read)
        self.speakers: list[Identification | Verification] = [
            *map(Identification.of, protocol.identification),
            *map(Verification.of, protocol.verification),
        ]

    @cached_property
    def waves(self) -> dict[tuple[Path, str], Wave]:
        """Every recording that a test of words names."""
        named = {(test.audio, path) for test, lists in self.few_shot for path in lists.paths}
        named |= {(test.audio, path) for test, lists in self.open_set for path in lists.paths}
        return {(folder, path): audio.read(folder / path) for folder, path in sorted(named)}

    def judge(self, checkpoint: Path, *, progress: Progress = no_progress) -> list[Verdict]:
        """What a checkpoint is worth; kept beside it in ``judged.json`` and taken from there the next time.

        Args:
            checkpoint: of a run.
            progress: called while recordings of speakers are embedded.
        """
        kept = checkpoint.with_name("judged.json")
        stamp = self._stamp(checkpoint)
        if kept.exists():
            document = json.loads(kept.read_text(encoding="utf-8"))
            if document["stamp"] == stamp:
                return [_verdict(row) for row in document["verdicts"]]
        verdicts = [*self._judge_words(checkpoint), *self._judge_speakers(checkpoint, progress)]
        document = {"stamp": stamp, "verdicts": [vars(verdict) for verdict in verdicts]}
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
        partial.replace(kept)
        return verdicts

    def _judge_words(self, checkpoint: Path) -> list[Verdict]:
        if not self.waves:
            return []
        embedder = load_embedder(checkpoint)
        vectors = self._embed(embedder)
        verdicts = [
            verdict
            for test, lists in self.few_shot
            for verdict in lists.judge(
                test, {path: row for (folder, path), row in vectors.items() if folder == test.audio}
            )
        ]
        for test, open_lists in self.open_set:
            known = {path: row for (folder, path), row in vectors.items() if folder == test.audio}
            verdicts += _judge_open_set(test, open_lists, known, embedder)
        return verdicts

    def _judge_speakers(self, checkpoint: Path, progress: Progress) -> list[Verdict]:
        # Crops are most of the work: a recording is embedded once for all tests that crop alike, and kept for new ones.
        places: dict[tuple[int, int], list[str]] = {}
        for one in self.speakers:
            places.setdefault(crops_of(one.test), []).extend(one.places)
        verdicts: dict[int, list[Verdict]] = {}
        for (crops, seed), named in places.items():
            embedder = load_embedder(checkpoint, crops=crops, seed=seed)
            key: Key = {"fingerprint": embedder.fingerprint, "crops": crops, "seed": seed}
            file = checkpoint.with_name(f"vectors-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]}.npz")
            vectors = embed_into(
                file,
                {name: Path(name) for name in named},
                embedder.embed_batch,
                key=key,
                silence="embed",
                progress=progress,
                read=self._read,
            ).by_path
            verdicts |= {
                number: one.judge(vectors, embedder)
                for number, one in enumerate(self.speakers)
                if crops_of(one.test) == (crops, seed)
            }
        return [verdict for number in sorted(verdicts) for verdict in verdicts[number]]

    def _embed(self, embedder: Embedder) -> dict[tuple[Path, str], Floats]:
        names = list(self.waves)
        vectors: dict[tuple[Path, str], Floats] = {}
        for first in range(0, len(names), _CLIPS_AT_ONCE):
            some = names[first : first + _CLIPS_AT_ONCE]
            rows = embedder.embed_batch([self.waves[name] for name in some])
            vectors |= dict(zip(some, rows, strict=True))
        return vectors

    def _stamp(self, checkpoint: Path) -> str:
        """Tells checkpoint, protocol and the content of its lists from all others."""
        folders = [test.lists for test in self.protocol.few_shot] + [test.lists for test in self.protocol.open_set]
        lists = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.txt"))]
        speakers = [one.content for one in self.speakers]
        # A number that is counted otherwise, or anew, asks for another judgment too.
        counted = [__version__, list(few_shot.METRICS), list(open_set.METRICS)]
        if speakers:
            counted += [list(identification.METRICS), list(verification.METRICS)]
        # Kinds of test that a protocol has none of leave the stamp as it was before there were such tests.
        untested = {kind for kind in ("identification", "verification") if not getattr(self.protocol, kind)}
        protocol = self.protocol.model_dump_json(exclude=untested)
        parts = [checkpoint.read_bytes(), protocol.encode(), repr(tuple(counted)).encode(), *lists, *speakers]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


@dataclass(frozen=True)
class _FewShotLists:
    """The lists of a few-shot test.

    Attributes:
        conditions: pairs of lists.
        others: clips that say no keyword and test nothing, for machines to be fitted against.
    """

    conditions: Mapping[str, tuple[ListPair, ...]]
    others: tuple[str, ...]

    @classmethod
    def of(cls, test: FewShotTest) -> "_FewShotLists":
        found = find_pairs(test.lists, audio=test.audio)
        for condition in test.conditions:
            if condition not in found:
                raise InputError(f"{test.lists}: no condition {condition!r}; there are {', '.join(found)}")
        wanted = {name: pairs for name, pairs in found.items() if not test.conditions or name in test.conditions}
        listed = test.lists / "train.txt"
        others = read_list(listed, audio=test.audio, repeats=True) if listed.is_file() else ()
        keywords = {word for pairs in wanted.values() for pair in pairs for word in pair.keywords}
        return cls(wanted, tuple(dict.fromkeys(clip.path for clip in others if clip.label not in keywords)))

    @property
    def paths(self) -> set[str]:
        return {path for pairs in self.conditions.values() for pair in pairs for path in pair.paths} | {*self.others}

    def judge(self, test: FewShotTest, vectors: Mapping[str, Floats]) -> list[Verdict]:
        background = np.stack([vectors[path] for path in self.others]) if self.others else None
        verdicts = []
        for backend in test.backends:
            scored = few_shot.score_vectors(self.conditions, vectors, backend=backend, background=background)
            for result in few_shot.compute_metrics(scored):
                pairs = scored[result.name]
                curve = error_curve(
                    np.concatenate([pair.scores.ravel() for pair in pairs]),
                    np.concatenate([pair.positive.ravel() for pair in pairs]),
                )
                numbers = {name: finite(spread.mean) for name, spread in result.numbers.items()}
                verdicts.append(Verdict(test.name, result.name, backend, numbers, thinned(curve)))
        return verdicts


def _judge_open_set(
    test: OpenSetTest, lists: open_set.OpenSetLists, vectors: Mapping[str, Floats], embedder: Embedder
) -> list[Verdict]:
    head = open_set.Head(embedder.classify, tuple(map(listed_label, embedder.classes)))
    # A head that knows targets alone, as that of AP-FC, can refuse only by a threshold.
    decides = {*head.classes} - {*lists.classes} if test.unknown == "cluster" else head.classes
    speakers = speakers_of(test.audio, lists.paths)
    verdicts = []
    for backend in test.backends:
        if backend == "classifier" and not decides:
            continue
        scored = open_set.score(lists, vectors, backend=backend, unknown=test.unknown, head=head, speakers=speakers)
        numbers = {name: finite(estimate.value) for name, estimate in open_set.count(scored).numbers.items()}
        curve = error_curve(*open_set.detection_trials(scored)["all unknowns"])
        verdicts.append(Verdict(test.name, OPEN_SET, backend, numbers, thinned(curve)))
    return verdicts


def _verdict(row: dict[str, Any]) -> Verdict:
    far, frr = row["curve"]
    return Verdict(row["test"], row["condition"], row["backend"], row["numbers"], (tuple(far), tuple(frr)))
