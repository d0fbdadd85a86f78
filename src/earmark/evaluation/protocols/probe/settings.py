"""Settings of a few-label probe."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from earmark.core.config import Settings
from earmark.core.errors import InputError

Splits = Annotated[tuple[str, ...], Field(min_length=1)]


class ProbeSettings(Settings):
    """Settings of a few-label probe."""

    labels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] | None = Field(
        None, description="Numbers of labeled clips of each word; all clips if not given."
    )
    classifier: Literal["dense", "linear"] = Field(
        "dense", description="The dense classifier of Humayun et al. 2021, or logistic regression on scaled embeddings."
    )
    train_split: Splits | None = Field(
        None, description="Splits of a manifest to train on; half of the speakers in each repetition if not given."
    )
    test_split: Splits | None = Field(
        None, description="Splits of a manifest to test on; the other half of the speakers if not given."
    )
    split: Splits | None = Field(
        None, description="Splits of a manifest whose speakers are halved; all but noise and rir if not given."
    )
    words: Splits | None = Field(None, description="Use only these words; all if not given.")
    repetitions: int = Field(5, ge=1, description="Number of random splits for each number of labels.")
    seed: int = Field(0, description="Seed of the splits, of the classifier, and of the bootstrap over speakers.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.train_split is None) != (self.test_split is None):
            missing = "train_split" if self.train_split is None else "test_split"
            raise InputError("only one of train_split and test_split is set; set both, or neither", key=missing)
        if self.split and self.train_split:
            raise InputError(
                "split cannot be combined with train_split and test_split; leave split out, or the other two",
                key="split",
            )
        return self

    @property
    def label_counts(self) -> tuple[int | None, ...]:
        """Numbers of labels, ascending; None for all clips."""
        return (None,) if self.labels is None else tuple(sorted(set(self.labels)))
