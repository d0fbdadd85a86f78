"""Tuning: the threshold of a keyword from a recording of the user's room, and what comes close to it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.core.audio import read_parts
from earmark.core.progress import Progress, no_progress
from earmark.spotting.background import (
    Background,
    BackgroundChoice,
    find_events,
    fit_tail,
    read_background,
    with_threshold,
)
from earmark.spotting.enrollment import FALSE_ALARMS_PER_HOUR
from earmark.spotting.keyword import Keyword
from earmark.spotting.near_miss import NearMiss

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.spotting.detector_settings import DetectorSettings

CONTEXT_S = 1.0
"""Audio on each side of a near miss, in seconds."""

NEAR = 0.15
"""A near miss is at most this much below the threshold before or after tuning."""


@dataclass(frozen=True, eq=False)
class Event:
    """A place in a room where the score of a keyword peaks.

    Attributes:
        start_s: about the start of the best window, in seconds.
        end_s: its end.
        score: of the window.
    """

    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True, eq=False)
class Tuned:
    """A keyword that is tuned to a room.

    Attributes:
        keyword: with its threshold.
        events: the highest events in the room, at most `NEAR` below a threshold; the highest first.
        rate_before: expected false alarms per hour in the room at the earlier threshold.
        rate: the same at the threshold now.
    """

    keyword: Keyword
    events: list[Event]
    rate_before: float
    rate: float


def tune(
    keyword: Keyword,
    encoder: Encoder,
    room: Background | str | Path,
    *,
    false_alarms_per_hour: float | None = None,
    background: BackgroundChoice = "shipped",
    settings: DetectorSettings | None = None,
    most: int = 10,
    progress: Progress = no_progress,
) -> Tuned:
    """Set the threshold of a keyword by a recording of the user's room.

    The expected rate of false alarms, averaged over the room and the shipped background, is the rate that the user
    chose. So the keyword stays quiet in a room where it has false alarms, and a quiet room alone does not lower it.

    Args:
        keyword: enrolled with this encoder.
        encoder: of the keyword.
        room: ten minutes or more of the room without the word: a recording, or its frames from `read_background`.
        false_alarms_per_hour: by default the keyword's rate, or 0.5 where that is unknown.
        background: the other background, as in `enroll`.
        settings: of the detector that will use the threshold.
        most: number of events to return.
        progress: called with frames.

    Raises:
        AudioError: the recording is not audio.
        InputError: the encoder is not calibrated for the rate, the recording is shorter than a minute, or another
            encoder computed its frames.
    """
    if not isinstance(room, Background):
        room = read_background(Path(room), encoder, progress=progress)
    found = find_events(keyword, encoder, room, settings, progress=progress)
    tail = fit_tail(found.scores, room.hours)
    rate = false_alarms_per_hour or keyword.rate or FALSE_ALARMS_PER_HOUR
    known = replace(keyword, calibration=replace(keyword.calibration, room=tail, tail=None))
    tuned = with_threshold(known, encoder, rate, background, settings=settings, progress=progress)
    columns = found.starts_s, found.ends_s, found.scores
    events = [
        Event(start_s, end_s, score)
        for start_s, end_s, score in zip(*(column[:most].tolist() for column in columns), strict=True)
        if score >= min(keyword.threshold, tuned.threshold) - NEAR
    ]
    return Tuned(tuned, events, tail.rate(keyword.threshold), tail.rate(tuned.threshold))


def near_misses(recording: Path, events: Sequence[Event]) -> list[NearMiss]:
    """Cut events out of the recording of the room.

    Args:
        recording: the file, which is read once.
        events: in it.
    """
    spans = [(max(0.0, event.start_s - CONTEXT_S), event.end_s + CONTEXT_S) for event in events]
    return [
        NearMiss(
            wave,
            event.start_s - start_s,
            event.end_s - start_s,
            f"{recording} at {int(event.start_s) // 60}:{int(event.start_s) % 60:02}",
            score=event.score,
        )
        for event, (start_s, _), wave in zip(events, spans, read_parts(recording, spans), strict=True)
    ]
