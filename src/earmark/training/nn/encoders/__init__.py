"""Encoders: a stream encoder gives frame vectors, which are summed over a window; a clip encoder gives one vector."""

from typing import Annotated

from earmark.core.config import TaggedUnion
from earmark.training.nn.encoders.bc_resnet import BCResNetSettings
from earmark.training.nn.encoders.clip import ClipEncoder, ClipEncoderSettings
from earmark.training.nn.encoders.convmixer import ConvMixerSettings
from earmark.training.nn.encoders.dense import DenseSettings
from earmark.training.nn.encoders.res import ResSettings
from earmark.training.nn.encoders.resnet_se import ResNetSESettings
from earmark.training.nn.encoders.sphere import SphereSettings
from earmark.training.nn.encoders.stream import FrameEncoder, StreamSettings

EncoderSettings = Annotated[
    StreamSettings
    | ResSettings
    | ConvMixerSettings
    | BCResNetSettings
    | SphereSettings
    | ResNetSESettings
    | DenseSettings,
    TaggedUnion("stream"),
]

__all__ = [
    "BCResNetSettings",
    "ClipEncoder",
    "ClipEncoderSettings",
    "ConvMixerSettings",
    "DenseSettings",
    "EncoderSettings",
    "FrameEncoder",
    "ResNetSESettings",
    "ResSettings",
    "SphereSettings",
    "StreamSettings",
]
