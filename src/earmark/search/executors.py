"""Executors embed recordings: threads of this process, or a Ray cluster (`earmark.search.ray_cluster`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from earmark.search.embedding import EmbeddedRecording, Failure, Recording, embed_recording
from earmark.search.settings import IndexSettings

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder


class Executor(Protocol):
    """Embeds recordings."""

    def embed(
        self, recordings: Sequence[Recording], encoder: Encoder, settings: IndexSettings, index: Path
    ) -> Generator[EmbeddedRecording | Failure, None, None]:
        """Yield the result of each recording, in the order of `recordings`.

        Args:
            recordings: each file once.
            encoder: computes the frames.
            settings: settings of the index.
            index: folder of the index, which the caller has locked.
        """


class ThreadExecutor:
    """Embeds recordings in threads of this process."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def embed(
        self, recordings: Sequence[Recording], encoder: Encoder, settings: IndexSettings, index: Path
    ) -> Generator[EmbeddedRecording | Failure, None, None]:
        """Yield the result of each recording, in the order of `recordings`, as `Executor.embed` describes."""
        del index
        pool = ThreadPoolExecutor(self._threads)
        futures: deque[Future[EmbeddedRecording | Failure]] = deque()
        try:
            for recording in recordings:
                futures.append(pool.submit(embed_recording, recording, encoder, settings))
                # Only a few recordings ahead of the caller: frames of all of them would fill the memory.
                if len(futures) > 4 * self._threads:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
