"""Mining settings, with the values of Algayres et al. (2022, arXiv 2204.05148) as defaults."""

from typing import Literal

from pydantic import Field

from earmark.core.config import Settings

Relation = Literal["any", "same", "across"]
RELATIONS: dict[Relation, str] = {"any": "any speaker", "same": "the same speaker", "across": "other speakers"}
"""Text for each relation: whose segments may be neighbors of a segment."""


class MiningSettings(Settings):
    """Settings of mining: which segments are compared, how neighbors are searched, and which pairs are kept."""

    relation: Relation = Field(
        "any", description="Neighbors are segments of any speaker, of the same speaker, or of other speakers."
    )
    neighbors: int = Field(10, ge=1, le=100, description="Number of nearest neighbors per segment.")
    mutual: bool = Field(False, description="Keep a pair only if each segment is a neighbor of the other.")
    coverage: float = Field(
        0.5, gt=0, le=1, description="Share of segments that get a neighbor; it sets the similarity threshold."
    )
    bin_width: float = Field(0.01, gt=0, le=0.5, description="Step of the threshold, in cosine similarity.")
    dimension: int = Field(128, ge=2, description="Number of principal components that are compared.")
    pca_rows: int = Field(1_000_000, ge=2, description="Number of segments that the components are fitted to.")
    most_segments: int = Field(
        4_000_000, ge=2, description="Maximum number of segments; from more segments, a sample is drawn."
    )
    longest_s: float = Field(2.0, gt=0, description="Longer segments are dropped, in seconds.")
    exact_rows: int = Field(
        200_000,
        ge=0,
        description="Maximum number of segments for exact search; for more segments, FAISS searches inverted lists.",
    )
    probes: int = Field(64, ge=1, description="Number of inverted lists searched per segment.")
    part_rows: int = Field(1_000_000, ge=1000, description="Number of segments whose lists are in memory at a time.")
    seed: int = Field(0, ge=0, description="Random seed of all samples.")
