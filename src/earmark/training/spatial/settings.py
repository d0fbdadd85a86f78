"""Settings of a simulation: a recipe of kind ``spatial``, read from a TOML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from earmark.core.config import Settings, read_table, validate
from earmark.training.spatial.autoencoder import AutoencoderSettings
from earmark.training.spatial.classifier import ClassifierSettings
from earmark.training.spatial.conv1d import Conv1dSettings
from earmark.training.words.recipe import Source


class SpatialData(Settings):
    """Sources of the unlabeled, labeled and test clips of a simulation; labels of unlabeled clips are ignored."""

    folder: Path = Field(description="folder of the packed clips and their features; relative to the recipe's folder")
    unlabeled: tuple[Source, ...] = Field(min_length=1, description="training clips of the auto-encoders")
    labeled: tuple[Source, ...] = Field(min_length=1, description="training clips of the classifiers")
    test: tuple[Source, ...] = Field((), description="test clips")
    speakers: Literal["listed", "drawn"] = Field(
        "listed",
        description="listed: the clips of `labeled` are for training, and those of `test` for the test; drawn: in each "
        "repetition, a random half of the speakers of both is for training, and the other half for the test",
    )

    @property
    def roles(self) -> dict[str, tuple[Source, ...]]:
        """The sources of the clips by the role of the clips: `unlabeled`, `labeled` or `test`."""
        return {"unlabeled": self.unlabeled, "labeled": self.labeled, "test": self.test}

    @model_validator(mode="after")
    def _has_tests(self) -> Self:
        if self.speakers == "listed" and not self.test:
            raise ValueError(
                "test: a simulation needs test clips, but there are none; name a source, or set speakers = 'drawn'"
            )
        return self


class Sizes(Settings):
    """How many unlabeled, labeled and test clips each repetition of a simulation draws; 0: all."""

    unlabeled: int = Field(12_000, ge=0, description="number of unlabeled clips")
    labeled: int = Field(6_000, ge=0, description="number of labeled clips")
    test: int = Field(6_000, ge=0, description="number of test clips")


class SpatialSettings(Settings):
    """All settings of a simulation: its clips, auto-encoders, classifiers and repetitions."""

    kind: Literal["spatial"] = Field("spatial", description="kind of the recipe, for `earmark spatial`")
    name: str = Field(pattern=r"^[\w-][\w.-]*$", description="name of the run's folder and of its encoders")
    seed: int = Field(1, ge=0, description="seed of all random numbers; each repetition draws different ones")
    repetitions: int = Field(10, ge=1, le=99, description="number of repetitions")
    data: SpatialData
    sizes: Sizes = Sizes()
    autoencoder: AutoencoderSettings = Field(
        AutoencoderSettings(), description="auto-encoders with and without position head"
    )
    classifier: ClassifierSettings = Field(ClassifierSettings(), description="classifier of the learned features")
    benchmark: Conv1dSettings = Field(Conv1dSettings(), description="convolutional classifier of MFCC")
    threads: int = Field(1, ge=0, description="torch threads on a CPU; 0: torch's default")


def read_spatial(path: Path, overrides: Sequence[str] = ()) -> SpatialSettings:
    """Read the settings of a simulation, a recipe of kind ``spatial``, from a TOML file.

    Args:
        path: a TOML file; relative paths in it start from its folder. A file with ``extends = "other.toml"`` overrides
            keys of another recipe.
        overrides: values that replace those of the file, each as ``a.b=value`` with a TOML value.

    Raises:
        InputError: the file is missing or not TOML, a key is unknown, or a value is wrong.
    """
    return validate(SpatialSettings, read_table(path, SpatialSettings, overrides=overrides), str(path))
