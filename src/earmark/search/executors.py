"""Who embeds recordings: threads of this process, or a cluster (`earmark.search.ray_cluster`)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from earmark.search.embedding import Embedded, Failure, Recording, embed_batch
from earmark.search.settings import IndexSettings

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder


class Due(Protocol):
    """A recording that somebody embeds."""

    def result(self) -> Embedded | Failure:
        """Wait for it."""


class Team(Protocol):
    """Embeds what it is given."""

    @property
    def ahead(self) -> float:
        """Recordings that it wants to have been given before the first one is waited for."""

    def submit(self, recording: Recording) -> Due:
        """Have a recording embedded; results are asked for in the order in which they were submitted."""


class Crew(Protocol):
    """Can be brought together for an index."""

    def gather(self, place: Path, encoder: Encoder, settings: IndexSettings) -> AbstractContextManager[Team]:
        """Begin to work.

        Args:
            place: the index, of which the caller is the only writer.
            encoder: gives the frames.
            settings: of the index.
        """


class Threads:
    """Embeds in threads of this process."""

    def __init__(self, count: int = 1) -> None:
        self._count = count

    @contextmanager
    def gather(self, place: Path, encoder: Encoder, settings: IndexSettings) -> Iterator[Team]:
        """As `Crew.gather`."""
        del place
        pool = ThreadPoolExecutor(self._count)
        try:
            yield _Pool(pool, self._count, encoder, settings)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Pool:
    def __init__(self, pool: ThreadPoolExecutor, count: int, encoder: Encoder, settings: IndexSettings) -> None:
        # A few ahead of the one that is waited for, not all: their frames would fill the memory.
        self.ahead = 4 * count
        self._pool, self._encoder, self._settings = pool, encoder, settings

    def submit(self, recording: Recording) -> Future[Embedded | Failure]:
        return self._pool.submit(lambda: embed_batch([recording], self._encoder, self._settings)[0])
