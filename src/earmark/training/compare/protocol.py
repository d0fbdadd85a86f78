"""Protocol of a comparison: a TOML file with the lists, recordings and back-ends of all tests."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from earmark.core.config import Settings, read_table, validate

FewShotBackend = Literal["prototype", "centroid", "best-take", "svm"]
OpenSetBackend = Literal["centroid", "prototype", "best-take", "svm", "classifier"]
VerificationBackend = Literal["cosine", "as-norm"]


class FewShotTest(Settings):
    """A few-shot test: keywords are enrolled with a few takes and detected among other words."""

    name: str = Field(description="name in the report")
    lists: Path = Field(description="folder of enroll_*.txt and test_*.txt; relative to the protocol's folder")
    audio: Path = Field(description="folder of the recordings; relative to the protocol's folder")
    conditions: tuple[str, ...] = Field((), description="conditions of the lists, such as `k5`; empty: all")
    backends: tuple[FewShotBackend, ...] = Field(
        ("prototype",),
        min_length=1,
        description="back-ends that score takes; `svm` uses the clips of train.txt as negative examples",
    )


class OpenSetTest(Settings):
    """An open-set test: fixed target words are classified among known and unknown other words."""

    name: str = Field(description="name in the report")
    lists: Path = Field(description="folder of train.txt and test.txt; relative to the protocol's folder")
    audio: Path = Field(description="folder of the recordings; relative to the protocol's folder")
    targets: tuple[str, ...] = Field(min_length=1, description="labels of the targets")
    backends: tuple[OpenSetBackend, ...] = Field(
        ("centroid",), min_length=1, description="back-ends that score classes; `classifier` needs a loss with classes"
    )
    unknown: Literal["cluster", "threshold"] = Field(
        "cluster",
        description="reject unknown words by an additional class, or by a threshold that is chosen on training or "
        "validation clips",
    )


class IdentificationTest(Settings):
    """An identification test on other recordings of the training speakers; it needs a loss with classes."""

    name: str = Field(description="name in the report")
    list: Path | None = Field(
        None,
        description="list with lines `1|2|3 path`, such as iden_split.txt; 3 marks test clips; not with `manifest`",
    )
    audio: Path | None = Field(None, description="folder of the recordings in the list")
    manifest: Path | None = Field(None, description="manifest with speakers; not with `list`")
    split: str = Field("test", description="split of the manifest")
    crops: int = Field(0, ge=0, description="number of random crops to average; 0: the center crop")
    seed: int = Field(0, ge=0, description="seed of the crops")

    @model_validator(mode="after")
    def _names_clips(self) -> Self:
        _check_one("list", self.list, self.manifest, self.audio)
        return self


class VerificationTest(Settings):
    """A verification test: whether two recordings are of the same speaker."""

    name: str = Field(description="name in the report")
    pairs: Path | None = Field(
        None,
        description="list with lines `1|0 path path`, such as veri_test.txt; not with `manifest`",
    )
    audio: Path | None = Field(None, description="folder of the recordings in the pairs")
    manifest: Path | None = Field(
        None, description="manifest with speakers, whose clips are all paired; not with `pairs`"
    )
    split: str = Field("test", description="split of the manifest")
    crops: int = Field(0, ge=0, description="number of random crops to average; 0: the center crop")
    seed: int = Field(0, ge=0, description="seed of the crops")
    backends: tuple[VerificationBackend, ...] = Field(
        ("cosine",),
        min_length=1,
        description="back-ends that score pairs: the cosine, or the cosine normalized with a cohort",
    )
    cohort: Path | None = Field(None, description="manifest of other speakers, for `as-norm`")
    cohort_split: str = Field("train", description="split of the cohort's manifest")
    cohort_clips: int = Field(
        0, ge=0, description="number of clips per cohort speaker, in the order of the manifest; 0: all"
    )
    top: int = Field(
        300, ge=2, description="number of cohort speakers, the most similar to a clip, that normalize its scores"
    )

    @model_validator(mode="after")
    def _names_clips(self) -> Self:
        _check_one("pairs", self.pairs, self.manifest, self.audio)
        if "as-norm" in self.backends and self.cohort is None:
            raise ValueError(
                "cohort: the back-end `as-norm` needs a manifest of other speakers; set `cohort` to its path"
            )
        return self


class Protocol(Settings):
    """All tests that a comparison runs on each trained encoder."""

    title: str = Field(description="title of the report")
    few_shot: tuple[FewShotTest, ...] = Field((), description="few-shot tests")
    open_set: tuple[OpenSetTest, ...] = Field((), description="open-set tests")
    identification: tuple[IdentificationTest, ...] = Field((), description="identification tests")
    verification: tuple[VerificationTest, ...] = Field((), description="verification tests")


def read_protocol(path: Path) -> Protocol:
    """Read a protocol from a TOML file; relative paths in it start from its folder.

    Raises:
        InputError: the file is missing or not TOML, a key is unknown, or a value is wrong.
    """
    return validate(Protocol, read_table(path, Protocol), str(path))


def _check_one(key: str, listed: Path | None, manifest: Path | None, audio: Path | None) -> None:
    if (listed is None) == (manifest is None):
        raise ValueError(f"{key}: a test needs either `{key}` and `audio`, or `manifest`; set one of them")
    if listed is not None and audio is None:
        raise ValueError(f"audio: the folder of the recordings in `{key}` is missing; set `audio` to it")
