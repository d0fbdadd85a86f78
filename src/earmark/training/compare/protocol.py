"""What the systems of a comparison are judged on: lists, recordings and back-ends, in one TOML file."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from earmark.core.config import Settings, checked, read_table

FewShotBackend = Literal["prototype", "centroid", "best-take", "svm"]
OpenSetBackend = Literal["centroid", "prototype", "best-take", "svm", "classifier"]
VerificationBackend = Literal["cosine", "as-norm"]


class FewShotTest(Settings):
    """Words that a user enrolls, among others."""

    name: str = Field(description="what the report calls it")
    lists: Path = Field(description="folder of enroll_*.txt and test_*.txt; relative to the protocol's folder")
    audio: Path = Field(description="folder that the paths in the lists start from; likewise")
    conditions: tuple[str, ...] = Field((), description="which of the lists' conditions, such as `k5`; empty: all")
    backends: tuple[FewShotBackend, ...] = Field(
        ("prototype",),
        min_length=1,
        description="how takes give scores; `svm` has the clips of a train.txt as others",
    )


class OpenSetTest(Settings):
    """Fixed targets, among words of the training and new ones."""

    name: str = Field(description="what the report calls it")
    lists: Path = Field(description="folder of train.txt and test.txt; relative to the protocol's folder")
    audio: Path = Field(description="folder that the paths in the lists start from; likewise")
    targets: tuple[str, ...] = Field(min_length=1, description="labels to tell apart")
    backends: tuple[OpenSetBackend, ...] = Field(
        ("centroid",), min_length=1, description="how classes give scores; `classifier` where the loss has classes"
    )
    unknown: Literal["cluster", "threshold"] = Field(
        "cluster", description="unknown as one more class, or a threshold chosen on training or validation clips"
    )


class IdentificationTest(Settings):
    """Other recordings of the speakers that the training told apart; only systems whose loss has classes are judged."""

    name: str = Field(description="what the report calls it")
    list: Path | None = Field(
        None,
        description="lines `1|2|3 path`, such as iden_split.txt, of which those of 3 are judged; or give `manifest`",
    )
    audio: Path | None = Field(None, description="folder that the paths in the list start from")
    manifest: Path | None = Field(None, description="a manifest that names speakers, in place of a list")
    split: str = Field("test", description="the clips of the manifest that are judged")
    crops: int = Field(0, ge=0, description="random crops of a recording that are averaged; 0: its middle")
    seed: int = Field(0, ge=0, description="of the crops")

    @model_validator(mode="after")
    def _names_clips(self) -> Self:
        _check_one("list", self.list, self.manifest, self.audio)
        return self


class VerificationTest(Settings):
    """Pairs of recordings: of one speaker or of two."""

    name: str = Field(description="what the report calls it")
    pairs: Path | None = Field(
        None, description="lines `1|0 path path`, such as veri_test.txt; or all pairs of the clips of `manifest`"
    )
    audio: Path | None = Field(None, description="folder that the paths in the pairs start from")
    manifest: Path | None = Field(None, description="a manifest that names speakers, in place of pairs")
    split: str = Field("test", description="the clips of the manifest that are paired")
    crops: int = Field(0, ge=0, description="random crops of a recording that are averaged; 0: its middle")
    seed: int = Field(0, ge=0, description="of the crops")
    backends: tuple[VerificationBackend, ...] = Field(
        ("cosine",), min_length=1, description="how a pair gets its score: a cosine, or one normalized by a cohort"
    )
    cohort: Path | None = Field(None, description="a manifest of other speakers, needed by `as-norm`")
    cohort_split: str = Field("train", description="the clips of the cohort")
    cohort_clips: int = Field(0, ge=0, description="clips of each speaker of the cohort, the first ones; 0: all")
    top: int = Field(300, ge=2, description="speakers of the cohort that normalize a clip's scores: the nearest")

    @model_validator(mode="after")
    def _names_clips(self) -> Self:
        _check_one("pairs", self.pairs, self.manifest, self.audio)
        if "as-norm" in self.backends and self.cohort is None:
            raise ValueError("cohort: `as-norm` needs a manifest of other speakers")
        return self


class Protocol(Settings):
    """All tests of a comparison."""

    title: str = Field(description="of the report")
    few_shot: tuple[FewShotTest, ...] = Field((), description="tests of words that a user enrolls")
    open_set: tuple[OpenSetTest, ...] = Field((), description="tests of fixed targets")
    identification: tuple[IdentificationTest, ...] = Field((), description="tests of known speakers")
    verification: tuple[VerificationTest, ...] = Field((), description="tests of pairs of speakers")


def read_protocol(path: Path) -> Protocol:
    """Read a protocol; a path in it starts from the folder of the file that it is written in.

    Raises:
        InputError: no such file, not TOML, an unknown key.
    """
    return checked(Protocol, read_table(path, Protocol), str(path))


def _check_one(key: str, listed: Path | None, manifest: Path | None, audio: Path | None) -> None:
    if (listed is None) == (manifest is None):
        raise ValueError(f"{key}: give it with audio, or else a manifest, not both")
    if listed is not None and audio is None:
        raise ValueError(f"audio: the paths in `{key}` start from it; name the folder")
