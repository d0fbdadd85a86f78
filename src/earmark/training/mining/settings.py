"""How pairs are mined. What R. Algayres et al. (2022, arXiv 2204.05148) publish is the default."""

from typing import Literal

from pydantic import Field

from earmark.core.config import Settings

Relation = Literal["any", "same", "across"]
RELATIONS: dict[Relation, str] = {"any": "anybody", "same": "the same speaker", "across": "other speakers"}
"""Whose segments may be a segment's neighbors."""


class MiningSettings(Settings):
    """Which segments are looked at, how their neighbors are found, and which pairs are kept."""

    relation: Relation = Field(default="any", description="Whose segments may be neighbors: any, same, across.")
    neighbors: int = Field(default=10, ge=1, le=100, description="Neighbors of a segment that are looked at.")
    is_mutual: bool = Field(default=False, description="Keep a pair only where each is a neighbor of the other.")
    coverage: float = Field(
        default=0.5, gt=0, le=1, description="Share of segments that are to have a neighbor; sets the threshold."
    )
    bin_width: float = Field(default=0.01, gt=0, le=0.5, description="Steps of similarity in which it is set.")
    dimension: int = Field(default=128, ge=2, description="Principal components that are compared.")
    pca_rows: int = Field(default=1_000_000, ge=2, description="Segments that the components are computed from.")
    most_segments: int = Field(default=4_000_000, ge=2, description="Of more, so many are drawn.")
    longest_s: float = Field(default=2.0, gt=0, description="Longer segments are left out, seconds.")
    exact_rows: int = Field(
        default=200_000, ge=0, description="Up to so many segments all are compared; beyond, FAISS's inverted lists."
    )
    probes: int = Field(default=64, ge=1, description="Inverted lists that are looked into.")
    part_rows: int = Field(default=1_000_000, ge=1000, description="Segments in memory at a time.")
    seed: int = Field(default=0, ge=0, description="Of the draws.")
