"""Sources of frames, which an encoder of segments reads, and the store that keeps the frames of a corpus."""

from typing import Annotated, assert_never

import torch

from earmark.core.config import TaggedUnion
from earmark.training.sequences.frames.encoder import EncoderFrames, EncoderFrameSettings
from earmark.training.sequences.frames.log_mel import LogMelFrames, LogMelFrameSettings
from earmark.training.sequences.frames.sections import ContextSettings, section_frames
from earmark.training.sequences.frames.source import FrameSource, hop_s, times_s
from earmark.training.sequences.frames.store import FrameStore, open_frames, store_frames
from earmark.training.sequences.frames.tower import TowerFrames, TowerFrameSettings
from earmark.training.sequences.frames.wav2vec2 import Wav2Vec2Frames, Wav2Vec2FrameSettings

__all__ = [
    "ContextSettings",
    "EncoderFrameSettings",
    "FrameSettings",
    "FrameSource",
    "FrameStore",
    "LogMelFrameSettings",
    "TowerFrameSettings",
    "Wav2Vec2FrameSettings",
    "build_source",
    "hop_s",
    "open_frames",
    "section_frames",
    "store_frames",
    "times_s",
]

FrameSettings = Annotated[
    LogMelFrameSettings | TowerFrameSettings | EncoderFrameSettings | Wav2Vec2FrameSettings,
    TaggedUnion("log_mel"),
]


def build_source(
    settings: LogMelFrameSettings | TowerFrameSettings | EncoderFrameSettings | Wav2Vec2FrameSettings,
    device: torch.device | None = None,
) -> FrameSource:
    """The source that the settings describe; an encoder of ours runs on the CPU whatever the device.

    Raises:
        InputError: its model cannot be loaded.
    """
    device = device or torch.device("cpu")
    match settings:
        case LogMelFrameSettings():
            return LogMelFrames(settings, device)
        case TowerFrameSettings():
            return TowerFrames(settings, device)
        case EncoderFrameSettings():
            return EncoderFrames(settings)
        case Wav2Vec2FrameSettings():
            return Wav2Vec2Frames(settings, device)
        case _:
            assert_never(settings)
