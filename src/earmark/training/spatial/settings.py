"""Settings of a simulation: a recipe of kind ``spatial``, in one TOML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from earmark.core.config import Settings, checked, placed, read_table
from earmark.training.spatial.autoencoder import AutoencoderSettings
from earmark.training.spatial.classifier import ClassifierSettings
from earmark.training.spatial.conv1d import Conv1dSettings
from earmark.training.words.recipe import Source


class SpatialData(Settings):
    """Where clips come from. Labels of the unlabeled ones are never looked at."""

    folder: Path = Field(
        description="where the packed clips and their features go; relative to the recipe's folder, shared by its runs"
    )
    unlabeled: tuple[Source, ...] = Field(min_length=1, description="clips that the auto-encoders learn from")
    labeled: tuple[Source, ...] = Field(min_length=1, description="clips that the classifiers learn from")
    test: tuple[Source, ...] = Field((), description="clips that are told apart")
    speakers: Literal["listed", "drawn"] = Field(
        "listed",
        description="listed: each clip stays with the source that names it; drawn: of the speakers of `labeled` and "
        "`test` together half label and the others test, drawn anew for each repetition",
    )

    @property
    def roles(self) -> dict[str, tuple[Source, ...]]:
        """The sources of each role."""
        return {"unlabeled": self.unlabeled, "labeled": self.labeled, "test": self.test}

    @model_validator(mode="after")
    def _has_tests(self) -> Self:
        if self.speakers == "listed" and not self.test:
            raise ValueError("test: no clips to tell apart; name some, or say speakers = 'drawn'")
        return self


class Sizes(Settings):
    """How many clips each repetition draws; 0: all that there are."""

    unlabeled: int = Field(12_000, ge=0, description="clips without labels")
    labeled: int = Field(6_000, ge=0, description="clips with labels; half of them teach, half say when to end")
    test: int = Field(6_000, ge=0, description="clips that are told apart")


class SpatialSettings(Settings):
    """All settings of a simulation."""

    kind: Literal["spatial"] = Field("spatial", description="what the recipe is for: `earmark spatial`")
    name: str = Field(pattern=r"^[\w-][\w.-]*$", description="names the run's folder and its encoders")
    seed: int = Field(1, ge=0, description="of all draws; each repetition has its own from it")
    repetitions: int = Field(10, ge=1, le=99, description="how often all is drawn and learned anew")
    data: SpatialData
    sizes: Sizes = Sizes()
    autoencoder: AutoencoderSettings = Field(
        AutoencoderSettings(), description="both auto-encoders; the plain one has no head"
    )
    classifier: ClassifierSettings = Field(ClassifierSettings(), description="of the learned features")
    benchmark: Conv1dSettings = Field(Conv1dSettings(), description="the convolution on MFCC")
    threads: int = Field(1, ge=0, description="threads of torch on a CPU; 0: torch's choice")


def read_spatial(path: Path, overrides: Sequence[str] = ()) -> SpatialSettings:
    """Read a recipe of kind ``spatial``.

    Args:
        path: a TOML file; relative paths in it start from its folder. It may say ``extends = "other.toml"``.
        overrides: ``a.b=value`` each, the value as in TOML.

    Raises:
        InputError: no such file, not TOML, an unknown key, a value of the wrong kind.
    """
    return checked(SpatialSettings, read_table(path, SpatialSettings, overrides=overrides), str(path))


def parse_spatial(table: dict[str, Any], folder: Path, where: str) -> SpatialSettings:
    """Settings from a table whose relative paths start from ``folder``; ``where`` says where the table comes from.

    Raises:
        InputError: an unknown key, a value of the wrong kind.
    """
    return checked(SpatialSettings, placed(table, [SpatialSettings], folder), where)
