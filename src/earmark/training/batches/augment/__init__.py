"""Augmentation of clips and scenes, in batches on the training device; for sections of speech, see `section_augment`.

Field augmentation applies all effects in their physical order; "one of" applies one effect per clip, as the published
keyword systems do.
"""

from typing import Annotated

from earmark.core.config import TaggedUnion
from earmark.training.batches.augment.audio import AugmentationAudio
from earmark.training.batches.augment.field import FieldAugmentation, FieldSettings
from earmark.training.batches.augment.one_of import OneOfAugmentation, OneOfSettings

AugmentSettings = Annotated[FieldSettings | OneOfSettings, TaggedUnion("field")]

__all__ = [
    "AugmentSettings",
    "AugmentationAudio",
    "FieldAugmentation",
    "FieldSettings",
    "OneOfAugmentation",
    "OneOfSettings",
]
