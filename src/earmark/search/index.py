"""A search index, opened for reading."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from earmark.core.errors import InputError
from earmark.search.contents import SEGMENTS, Contents, EncoderEntry, default_path, read_contents
from earmark.search.faiss_index import NeighborIndex, lengths_in_frames
from earmark.search.segments import IndexSegment, open_segment


@dataclass(frozen=True, eq=False)
class Index:
    """A search index as it was when `open_index` opened it, without recordings that were added later."""

    path: Path
    contents: Contents
    segments: tuple[IndexSegment, ...]

    @property
    def encoder(self) -> EncoderEntry:
        """The encoder that made the index."""
        return self.contents.encoder

    @property
    def hours(self) -> float:
        """Hours of active audio."""
        return sum(segment.kept_frames for segment in self.segments) * self.encoder.hop_s / 3600

    @property
    def file_count(self) -> int:
        """Number of indexed files."""
        return sum(entry.files - len(entry.removed) for entry in self.contents.segments)

    @property
    def has_neighbors(self) -> bool:
        """Whether FAISS can search the index: all segments have a neighbor index."""
        return bool(self.segments) and all(entry.codebook for entry in self.contents.segments)

    @cached_property
    def neighbors(self) -> tuple[NeighborIndex, ...]:
        """The neighbor index of each segment, in which FAISS searches."""
        lengths = lengths_in_frames(self.contents.settings, self.encoder.hop_s)
        return tuple(NeighborIndex(segment.folder, lengths) for segment in self.segments)


def open_index(path: str | Path | None = None) -> Index:
    """Open an index for searching. Another process may add recordings meanwhile.

    Args:
        path: folder of the index; None for `default_path()`.

    Raises:
        InputError: there is no index, or it is damaged.
    """
    path = default_path() if path is None else Path(path)
    contents = read_contents(path)
    while True:
        try:
            return Index(path, contents, tuple(_open_segments(path, contents)))
        except InputError:
            # Another process may have merged the segments after their names were read.
            newer = read_contents(path)
            if newer == contents:
                raise
            contents = newer


def _open_segments(path: Path, contents: Contents) -> list[IndexSegment]:
    return [
        open_segment(path / SEGMENTS / entry.name, removed=set(entry.removed), width=contents.encoder.width)
        for entry in contents.segments
    ]
