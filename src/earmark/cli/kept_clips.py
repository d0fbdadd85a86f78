"""Options of `earmark detect` for the clips of detections that it keeps."""

from contextlib import suppress
from pathlib import Path

from pydantic import Field

from earmark.core.errors import EarmarkError, InputError
from earmark.spotting.clips import ClipRecorder, ClipSettings


class KeptClips(ClipSettings):
    """Clips of detections in a folder."""

    folder: Path | None = Field(
        None, description="Keep a clip of each detection in this folder, to mark false ones later."
    )

    def recorder(self, store: Path | None) -> ClipRecorder | None:
        """Make the recorder of clips, whose folder the store remembers; None without a folder.

        Raises:
            InputError: there are other options of clips, but no folder.
        """
        from earmark.store.store import KeywordStore

        if self.folder is not None:
            with suppress(EarmarkError), KeywordStore(store) as kept:
                kept.save_clip_folder(self.folder)
            return ClipRecorder(self.folder, self)
        if self.model_fields_set:
            raise InputError("options of clips need a folder; give --keep-clips DIR too")
        return None
