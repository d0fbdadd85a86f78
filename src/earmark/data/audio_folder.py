"""Find the recordings of a list in the folder that the paths in the list start from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark.core.audio import duration_s
from earmark.core.errors import InputError
from earmark.data.corpora.folder import SOUND_SUFFIXES
from earmark.data.lists.spans import Span

# A file can end slightly earlier than its header says.
_FILE_END_S = 0.05


@dataclass(frozen=True)
class AudioFolder:
    """Finds the recordings of a list, and caches their paths and durations.

    Attributes:
        folder: folder that the paths in the list start from.
    """

    folder: Path
    _files: dict[str, Path] = field(default_factory=dict, repr=False, compare=False)
    _ends_s: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def locate(self, path: str) -> Path:
        """Return the file of a recording by its path in the list, which may lack the suffix.

        Raises:
            InputError: the recording is missing.
        """
        if path not in self._files:
            place = self.folder / path
            named = [place, *(place.with_name(place.name + suffix) for suffix in sorted(SOUND_SUFFIXES))]
            found = next((file for file in named if file.is_file()), None)
            if found is None:
                raise InputError(f"{place} is missing; choose the folder that the paths in the list start from")
            self._files[path] = found
        return self._files[path]

    def end_s(self, path: str) -> float:
        """Duration of a recording in seconds.

        Raises:
            InputError: the recording is missing.
            AudioError: the file is not audio.
        """
        if path not in self._ends_s:
            self._ends_s[path] = duration_s(self.locate(path))
        return self._ends_s[path]

    def check(self, span: Span) -> None:
        """Check that a span is inside its recording.

        Raises:
            InputError: the recording is missing, or ends before the span.
        """
        end_s = self.end_s(span.path)
        if span.end_s > end_s + _FILE_END_S:
            raise InputError(
                f"{span.path}: a span ends at {span.end_s:g} s, but {self.locate(span.path)} ends at {end_s:.2f} s;"
                " make the list again from these recordings"
            )

    def check_record(self, record: Any, _: int = 0) -> None:
        """Check that all spans of one record of a list are inside their recordings; `read_records` calls this method.

        Raises:
            InputError: a recording is missing, or ends before a span.
        """
        for span in (record,) if isinstance(record, Span) else record.spans:
            self.check(span)
