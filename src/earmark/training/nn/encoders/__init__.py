"""Encoders, two families: of streams (frame vectors, summed over any window) and of clips (one vector a clip)."""

from typing import Annotated, assert_never, overload

import torch

from earmark.core.tagged_union import by_kind
from earmark.training.nn.encoders.bc_resnet import BCResNetSettings
from earmark.training.nn.encoders.clip import ClipEncoder, ClipEncoderSettings
from earmark.training.nn.encoders.convmixer import ConvMixerSettings
from earmark.training.nn.encoders.dense import DenseSettings
from earmark.training.nn.encoders.res import ResSettings
from earmark.training.nn.encoders.resnet_se import ResNetSESettings
from earmark.training.nn.encoders.sphere import SphereSettings
from earmark.training.nn.encoders.stream import FrameEncoder, StreamSettings

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
    "build_encoder",
]

EncoderSettings = Annotated[
    StreamSettings
    | ResSettings
    | ConvMixerSettings
    | BCResNetSettings
    | SphereSettings
    | ResNetSESettings
    | DenseSettings,
    by_kind("stream"),
]


@overload
def build_encoder(settings: StreamSettings) -> FrameEncoder: ...
@overload
def build_encoder(settings: ClipEncoderSettings) -> ClipEncoder: ...
def build_encoder(settings: EncoderSettings) -> FrameEncoder | ClipEncoder:
    """The encoder that the settings describe, in channels-last memory: its convolutions run thrice as fast on a CPU."""
    match settings:
        case StreamSettings():
            model: FrameEncoder | ClipEncoder = FrameEncoder(settings)
        case (
            ResSettings()
            | ConvMixerSettings()
            | BCResNetSettings()
            | SphereSettings()
            | ResNetSESettings()
            | DenseSettings()
        ):
            model = ClipEncoder(settings)
        case _:
            assert_never(settings)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model
