"""How an archive is indexed. The settings are written into the index and hold for all that is added later."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0.1, le=5)]


class IndexSettings(BaseModel):
    """What of the sound is kept, and how it is found again. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: Literal["energy", "none"] = "energy"
    """What is left out: where nothing stands above the noise (`earmark.search.sections`), or nothing."""
    excess_db: float = Field(default=8.0, gt=0, le=40)
    """How far the loudest band of a frame stands above that band's floor where somebody may be speaking."""
    margin_s: float = Field(default=0.2, ge=0, le=5)
    """Kept on either side of what stands above the floor."""
    bridge_s: float = Field(default=0.5, ge=0, le=10)
    """Shorter pauses are kept, so that a phrase stays in one section."""
    neighbors_from_h: float = Field(
        default=10.0, ge=0, validation_alias=AliasChoices("neighbors_from_h", "neighbours_from_h")
    )
    """Hours of sections from which on windows are found through FAISS; below, all of them are compared."""
    window_lengths_s: tuple[Seconds, ...] = Field(default=(0.3, 0.5, 0.85), min_length=1)
    """Lengths of the windows that FAISS knows; what it finds is compared anew at the query's own lengths."""
    window_hop: int = Field(default=3, ge=1, le=16)
    """Frames from one of these windows to the next."""
    code_bytes: Literal[8, 16, 32, 64] = 16
    """Bytes that FAISS keeps of a window's embedding."""
