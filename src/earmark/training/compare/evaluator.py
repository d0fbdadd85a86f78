"""Evaluator of a comparison: runs all tests of a protocol on a checkpoint, and stores the results beside it."""

import hashlib
import json
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark import __version__, audio
from earmark.core.audio import Wave
from earmark.core.progress import Progress, no_progress
from earmark.core.workspace import stamped_result
from earmark.evaluation.embedders import BATCH_CLIPS, Embedder
from earmark.evaluation.embedding_cache import Key, embed_into
from earmark.evaluation.protocols import few_shot, identification, open_set, verification
from earmark.training.compare.protocol import Protocol
from earmark.training.compare.results import Result
from earmark.training.compare.speakers import Identification, Verification, crops_of
from earmark.training.compare.words import FewShot, OpenSet
from earmark.training.export.checkpoint_embedder import load_embedder

Floats = NDArray[np.floating]


class Evaluator:
    """Evaluates checkpoints with all tests of a protocol; lists and recordings are read once for all checkpoints.

    Args:
        protocol: the tests.
        load: loads the embedder of a checkpoint; called with the checkpoint, ``crops`` and ``seed``.

    Raises:
        InputError: a list or recording cannot be read, or the lists lack a condition.
    """

    def __init__(self, protocol: Protocol, *, load: Callable[..., Embedder] = load_embedder) -> None:
        self.protocol, self._load = protocol, load
        self.words: list[FewShot | OpenSet] = [
            *map(FewShot.of, protocol.few_shot),
            *map(OpenSet.of, protocol.open_set),
        ]
        self.speakers: list[Identification | Verification] = [
            *map(Identification.of, protocol.identification),
            *map(Verification.of, protocol.verification),
        ]
        # Waves are kept for all runs: decoding a recording takes longer than embedding it with a small encoder.
        self._read = cache(audio.read)

    @cached_property
    def waves(self) -> dict[tuple[Path, str], Wave]:
        """Audio of the clips of all few-shot and open-set tests, by the folder of the test and the path in it."""
        named = {(test.test.audio, path) for test in self.words for path in test.paths}
        return {(folder, path): audio.read(folder / path) for folder, path in sorted(named)}

    def evaluate(self, checkpoint: Path, *, progress: Progress = no_progress) -> list[Result]:
        """Run all tests on a checkpoint, and store the results in ``judged.json`` beside it.

        If the file has results of the same checkpoint and protocol, they are read instead.

        Args:
            checkpoint: checkpoint of a run.
            progress: counts recordings of speaker tests that are embedded.
        """

        def make() -> list[dict[str, object]]:
            return [vars(result) for result in (*self._words(checkpoint), *self._speakers(checkpoint, progress))]

        file = checkpoint.with_name("judged.json")
        return [Result.from_json(row) for row in stamped_result(file, self._stamp(checkpoint), make, name="verdicts")]

    def _words(self, checkpoint: Path) -> list[Result]:
        if not self.waves:
            return []
        embedder = self._load(checkpoint)
        vectors = self._embed(embedder)
        results = []
        for test in self.words:
            known = {path: vector for (folder, path), vector in vectors.items() if folder == test.test.audio}
            results += test.evaluate(known, embedder)
        return results

    def _speakers(self, checkpoint: Path, progress: Progress) -> list[Result]:
        # Embedding crops takes most of the time, so tests with the same crops share stored embeddings.
        files: dict[tuple[int, int], list[str]] = {}
        for test in self.speakers:
            files.setdefault(crops_of(test.test), []).extend(test.files)
        results: dict[int, list[Result]] = {}
        for (crops, seed), named in files.items():
            embedder = self._load(checkpoint, crops=crops, seed=seed)
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
            results |= {
                number: test.evaluate(vectors, embedder)
                for number, test in enumerate(self.speakers)
                if crops_of(test.test) == (crops, seed)
            }
        return [result for number in sorted(results) for result in results[number]]

    def _embed(self, embedder: Embedder) -> dict[tuple[Path, str], Floats]:
        names = list(self.waves)
        vectors: dict[tuple[Path, str], Floats] = {}
        for first in range(0, len(names), BATCH_CLIPS):
            some = names[first : first + BATCH_CLIPS]
            rows = embedder.embed_batch([self.waves[name] for name in some])
            vectors |= dict(zip(some, rows, strict=True))
        return vectors

    def _stamp(self, checkpoint: Path) -> str:
        """Hash all that the results depend on: checkpoint, protocol, content of its lists, and names of the metrics."""
        folders = [test.test.lists for test in self.words]
        lists = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.txt"))]
        speakers = [test.content for test in self.speakers]
        # If the metrics change, the evaluation is repeated.
        counted = [__version__, list(few_shot.METRICS), list(open_set.METRICS)]
        if speakers:
            counted += [list(identification.METRICS), list(verification.METRICS)]
        # Without speaker tests, the stamp is that of earlier versions, which had no speaker tests.
        untested = {kind for kind in ("identification", "verification") if not getattr(self.protocol, kind)}
        protocol = self.protocol.model_dump_json(exclude=untested)
        parts = [checkpoint.read_bytes(), protocol.encode(), repr(tuple(counted)).encode(), *lists, *speakers]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
