"""What the systems of a comparison are judged on: lists, recordings and back-ends, in one TOML file."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from earmark.training.tables import Settings, checked, read_table

FewShotBackend = Literal["prototype", "centroid", "best-take", "svm"]
OpenSetBackend = Literal["centroid", "prototype", "best-take", "svm", "classifier"]


class FewShotTest(Settings):
    """Words that a user enrols, among others."""

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


class Protocol(Settings):
    """All tests of a comparison."""

    title: str = Field(description="of the report")
    few_shot: tuple[FewShotTest, ...] = Field((), description="tests of words that a user enrols")
    open_set: tuple[OpenSetTest, ...] = Field((), description="tests of fixed targets")


def read_protocol(path: Path) -> Protocol:
    """Read a protocol; its paths start from its folder.

    Raises:
        InputError: no such file, not TOML, an unknown key.
    """
    protocol = checked(Protocol, read_table(path), str(path))
    folder = path.parent

    def placed(test: FewShotTest | OpenSetTest) -> dict[str, Path]:
        return {"lists": (folder / test.lists).resolve(), "audio": (folder / test.audio).resolve()}

    return protocol.model_copy(
        update={
            "few_shot": tuple(test.model_copy(update=placed(test)) for test in protocol.few_shot),
            "open_set": tuple(test.model_copy(update=placed(test)) for test in protocol.open_set),
        }
    )
