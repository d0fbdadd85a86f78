"""Settings of an index. The index stores them and applies them to all recordings that are added later."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from earmark.core.config import Settings

Seconds = Annotated[float, Field(gt=0.1, le=5)]


class IndexSettings(Settings):
    """What an index keeps of a recording, and how it is searched."""

    energy_gate: bool = Field(True, description="Index only regions whose energy is above the noise floor.")
    excess_db: float = Field(
        8.0, gt=0, le=40, description="Level above the noise floor, in a band, that opens the gate."
    )
    margin_s: float = Field(0.2, ge=0, le=5, description="Audio kept before and after an active region.")
    bridge_s: float = Field(0.5, ge=0, le=10, description="Shorter pauses do not end an active region.")
    neighbors_from_h: float = Field(
        10.0,
        ge=0,
        validation_alias=AliasChoices("neighbors_from_h", "neighbours_from_h"),
        description="Hours of active audio from which the index is searched through FAISS.",
    )
    window_lengths_s: tuple[Seconds, ...] = Field(
        (0.3, 0.5, 0.85),
        min_length=1,
        description="Lengths of the windows in FAISS; its candidates are scored again at the length of the query.",
    )
    window_hop: int = Field(3, ge=1, le=16, description="Frames between the starts of two windows in FAISS.")
    code_bytes: Literal[8, 16, 32, 64] = Field(16, description="Bytes per product-quantized window in FAISS.")
