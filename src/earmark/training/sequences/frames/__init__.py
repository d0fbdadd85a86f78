"""Frame sources, which compute a vector every few milliseconds of audio, and a store of frames on disk."""

from typing import Annotated

from earmark.core.config import TaggedUnion
from earmark.training.sequences.frames.encoder import EncoderFrameSettings
from earmark.training.sequences.frames.log_mel import LogMelFrameSettings
from earmark.training.sequences.frames.sections import ContextSettings, section_frames
from earmark.training.sequences.frames.source import FrameSource, hop_s, times_s
from earmark.training.sequences.frames.store import FrameStore, store_frames
from earmark.training.sequences.frames.tower import TowerFrameSettings
from earmark.training.sequences.frames.wav2vec2 import Wav2Vec2FrameSettings

__all__ = [
    "ContextSettings",
    "EncoderFrameSettings",
    "FrameSettings",
    "FrameSource",
    "FrameStore",
    "LogMelFrameSettings",
    "TowerFrameSettings",
    "Wav2Vec2FrameSettings",
    "hop_s",
    "section_frames",
    "store_frames",
    "times_s",
]

FrameSettings = Annotated[
    LogMelFrameSettings | TowerFrameSettings | EncoderFrameSettings | Wav2Vec2FrameSettings,
    TaggedUnion("log_mel"),
]
