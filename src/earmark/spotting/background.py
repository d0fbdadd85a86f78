"""Background audio sets the threshold of each keyword: how often does audio without the word reach a score?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import duration_s, read_spans
from earmark.core.errors import EarmarkError, InputError
from earmark.core.progress import Progress, no_progress
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrolled import check_encoder
from earmark.spotting.expectation import with_expectations
from earmark.spotting.frame_cache import cached_frames, compute_frames, file_digest
from earmark.spotting.keyword import Keyword, joint_take_scores, take_scores, with_verifier
from earmark.spotting.keyword_calibration import (
    TAIL_SHAPE,
    BackgroundTail,
    KeywordCalibration,
    ThresholdOrigin,
    VerifierCalibration,
    mixed_threshold,
)
from earmark.spotting.recent_audio import MARGIN_S
from earmark.spotting.scoring import score_windows
from earmark.spotting.second_stage import CANDIDATES_PER_HOUR
from earmark.spotting.verifier_scores import joint_score, similarity

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.float32]

VARIABLE = "EARMARK_BACKGROUND"
"""Environment variable: a recording to use in place of the shipped one; "none" for the thresholds of the card."""

SHORTEST_S = 60.0
"""A shorter background is refused; ten minutes are good."""

TAIL_EVENTS = 40
EVENT_GAP_S = 0.5
# Chosen on words that no result is reported on, see docs/decisions/0013.
_FEWEST_TAKES, _TAKES_MARGIN, _TAKES_WEIGHT = 3, 0.15, 0.5
# The highest joint scores are of candidates, of which the first stage has chosen those above a score: fewer events, and
# a lighter tail. See docs/decisions/0016.
_JOINT_EVENTS, _JOINT_SHAPE = 20, -0.25


@dataclass(frozen=True, eq=False)
class Background:
    """Frames of audio without the keywords.

    Attributes:
        frames: shape (t, width), as `Encoder.frames` returns them; half precision changes scores by less than 0.001.
        hop_s: time between frames, in seconds.
        encoder: fingerprint of the encoder that computed the frames.
        recording: the audio, for the verifier; None where it is not at hand.
    """

    frames: NDArray[np.floating]
    hop_s: float
    encoder: str
    recording: Path | None = None

    @property
    def hours(self) -> float:
        """Length in hours."""
        return len(self.frames) * self.hop_s / 3600


BackgroundChoice = Background | Literal["shipped"] | None
"""A background, "shipped" for that of `load_background`, or None for the threshold in the card of the encoder."""


def load_background(encoder: Encoder, *, progress: Progress = no_progress) -> Background | None:
    """Load the background of an encoder; its frames are computed once, and kept in the user's cache folder.

    Args:
        encoder: computes the frames, in ten seconds to a minute for the shipped 107 minutes.
        progress: called with seconds of audio.

    Returns:
        The shipped background, or the recording that `EARMARK_BACKGROUND` names; None if it is "none".

    Raises:
        AudioError: the recording is not audio.
        InputError: the recording is missing, or shorter than a minute.
    """
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "none":
        return None
    if chosen:
        return _load(Path(chosen), encoder, progress)
    with as_file(files("earmark.models") / "background.opus") as path:
        return _load(path, encoder, progress)


def with_threshold(
    keyword: Keyword,
    encoder: Encoder,
    rate: float,
    background: BackgroundChoice = "shipped",
    *,
    settings: DetectorSettings | None = None,
    verify: bool = True,
    progress: Progress = no_progress,
) -> Keyword:
    """The keyword with its threshold for a rate of false alarms; of one that is tuned to a room, the mean of both.

    The calibration of the keyword gets its expected misses, the probability of its detections, and the scale of the
    verifier, too.

    Args:
        keyword: enrolled with this encoder.
        encoder: its card has the range of rates, and the threshold where there is no background.
        rate: false alarms per hour.
        background: audio without the keyword; its frames are of this encoder.
        settings: of the detector that will use the threshold.
        verify: whether the verifier, where it is installed, scores the keyword too; only with the recording of the
            background.
        progress: called with seconds of audio, then with frames.

    Raises:
        EncoderMismatch: another encoder enrolled the keyword.
        InputError: the encoder is not calibrated for the rate, or another encoder computed the background.
    """
    check_encoder(keyword, encoder)
    threshold, tail, room = encoder.calibration.threshold(rate), None, keyword.calibration.room
    keyword, second = replace(keyword, verifier=None), None
    if background == "shipped":
        background = load_background(encoder, progress=progress)
    if background is not None:
        events = find_events(keyword, encoder, background, settings, progress=progress)
        tail = fit_tail(events.scores, background.hours)
        takes = take_scores(keyword)
        if verify and background.recording is not None:
            keyword = with_verifier(keyword)
            # The room has no part in it: the scale compares both stages in the same audio.
            alone = _toward_takes(tail.threshold(rate), takes)
            second = _verifier_calibration(keyword, events, background, rate, tail, alone)
        room = _shifted_room(keyword.calibration, tail)
        threshold = _toward_takes(mixed_threshold([tail] if room is None else [tail, room], rate), takes)
    elif room is not None:
        threshold = max(threshold, room.threshold(rate))
    origin: ThresholdOrigin = "rate" if room is None else "room"
    calibration = replace(keyword.calibration, origin=origin, tail=tail, room=room, verifier=second)
    measured = replace(keyword, threshold=threshold, rate=rate, calibration=calibration)
    return with_expectations(measured, encoder, settings or DetectorSettings())


def _shifted_room(known: KeywordCalibration, tail: BackgroundTail) -> BackgroundTail | None:
    """The tail of the user's room, moved as that of the background moved since: other takes give other scores."""
    if known.room is None or known.tail is None:
        return known.room
    return replace(known.room, level=known.room.level + tail.level - known.tail.level)


def _verifier_calibration(
    keyword: Keyword, events: Events, background: Background, rate: float, first: BackgroundTail, threshold: float
) -> VerifierCalibration | None:
    """What joint scores mean, by those of the background's candidates; None without a verifier.

    Args:
        keyword: with the embeddings of the verifier.
        events: of the first stage in the background.
        background: with its recording.
        rate: false alarms per hour at the threshold.
        first: tail of the first stage.
        threshold: of the first stage in this background.
    """
    from earmark.models.verifier import shipped_verifier

    verifier = shipped_verifier()
    if keyword.verifier is None or background.recording is None or verifier is None:
        return None
    # More candidates than false alarms, and as many as a tail needs.
    per_hour = max(CANDIDATES_PER_HOUR, 2 * rate)
    count = min(len(events.scores) - 1, max(TAIL_EVENTS, round(per_hour * background.hours)))
    spans = list(zip(events.starts_s[:count].tolist(), events.ends_s[:count].tolist(), strict=True))
    waves = read_spans(background.recording, [(start_s - MARGIN_S, end_s + MARGIN_S) for start_s, end_s in spans])
    joint = []
    for score, (start_s, end_s), wave in zip(events.scores[:count].tolist(), spans, waves, strict=True):
        lead_s = min(MARGIN_S, start_s)
        second = similarity(keyword.verifier, keyword.duration_s, verifier, wave, lead_s, lead_s + end_s - start_s)
        joint.append(joint_score(score, second))
    tail = fit_tail(sorted(joint, reverse=True), background.hours, most=_JOINT_EVENTS, shape=_JOINT_SHAPE)
    slope = first.scale / max(tail.scale, 1e-6)
    offset = threshold - slope * _toward_takes(tail.threshold(rate), joint_take_scores(keyword))
    return VerifierCalibration(
        candidate=float(events.scores[count]),
        slope=slope,
        offset=offset,
        tail=replace(tail, level=slope * tail.level + offset, scale=slope * tail.scale),
    )


def background_events(
    keyword: Keyword,
    encoder: Encoder,
    background: Background,
    settings: DetectorSettings | None = None,
    *,
    progress: Progress = no_progress,
) -> Floats:
    """Scores of the events in a background, descending; arguments as those of `find_events`."""
    return find_events(keyword, encoder, background, settings, progress=progress).scores


@dataclass(frozen=True, eq=False)
class Events:
    """Peaks of a keyword's score over a background, the highest first; arrays of shape (n,).

    Attributes:
        scores: descending.
        starts_s: starts of their windows, in seconds.
        ends_s: their ends.
    """

    scores: Floats
    starts_s: NDArray[np.floating]
    ends_s: NDArray[np.floating]


def find_events(
    keyword: Keyword,
    encoder: Encoder,
    background: Background,
    settings: DetectorSettings | None = None,
    *,
    progress: Progress = no_progress,
) -> Events:
    """Peaks of the keyword's score over a background, at least a word and 0.5 s apart.

    Args:
        keyword: enrolled with this encoder.
        encoder: of the keyword and of the background.
        background: its frames.
        settings: of the detector.
        progress: called with frames.

    Raises:
        InputError: another encoder computed the background.
    """
    if background.encoder != encoder.fingerprint:
        raise InputError(
            f"of encoder {background.encoder[:12]}, not of {encoder.name!r} ({encoder.fingerprint[:12]}); load it with "
            "load_background",
            key="background",
        )
    scores, stops, lengths = score_windows(
        keyword,
        encoder,
        background.frames,
        settings or DetectorSettings(),
        stage=f"measuring the threshold ({keyword.name})",
        progress=progress,
    )
    places = peak_places(scores, round((keyword.duration_s + EVENT_GAP_S) / background.hop_s))
    ends = stops[places]
    starts = np.maximum(0, ends - lengths[places])
    return Events(scores[places], starts * background.hop_s, ends * background.hop_s)


def _toward_takes(threshold: float, takes: Floats | None) -> float:
    """Raise a threshold far below the scores of the takes: that costs hardly a hit, and fewer similar words pass."""
    if takes is None or len(takes) < _FEWEST_TAKES:
        return threshold
    room = float(np.median(takes)) - _TAKES_MARGIN - threshold
    return threshold + _TAKES_WEIGHT * max(0.0, room)


def peak_places(scores: Floats, gap: int) -> NDArray[np.int64]:
    """Places of the highest scores that are at least `gap` frames apart; the highest first.

    >>> peak_places(np.float32([0, 3, 2, 0, 0, 1, 0]), gap=3).tolist()
    [1, 5]
    """
    # One maximum for each block, then without those too close to a higher one.
    count = len(scores) // gap * gap
    starts = np.arange(0, count, gap)
    places = starts + scores[:count].reshape(-1, gap).argmax(axis=1)
    places = places[np.argsort(-scores[places], kind="stable")][: 8 * TAIL_EVENTS]
    kept: list[int] = []
    for place in places:
        if all(abs(place - other) >= gap for other in kept):
            kept.append(int(place))
    return np.array(kept, np.int64)


def fit_tail(
    events: Floats | Sequence[float], hours: float, *, most: int = TAIL_EVENTS, shape: float = TAIL_SHAPE
) -> BackgroundTail:
    """Fit a generalized Pareto tail to the 40 highest events.

    The level u is the score of the 41st event. With the exceedances x of the others and the shape ξ = -0.1, the scale
    is (1 - ξ) · mean(x - u). One shape for all keywords is more accurate than a fitted one: forty events determine a
    scale, but not a shape.

    Args:
        events: scores of separate events, descending.
        hours: length of the background.
        most: number of highest events.
        shape: ξ.

    Raises:
        EarmarkError: there are too few events.

    >>> round(fit_tail([0.9, 0.8, 0.7, 0.6], hours=1.0).threshold(3.0), 6)
    0.6
    >>> round(fit_tail([0.9, 0.8, 0.7, 0.6], hours=1.0).threshold(1.0), 6)
    0.828891
    """
    level_at = min(most, len(events) - 1)
    if level_at < 1:
        raise EarmarkError("the background is too short for a threshold; use at least ten minutes")
    level = float(events[level_at])
    scale = (1 - shape) * float(np.mean(np.asarray(events[:level_at], np.float64) - level))
    return BackgroundTail(level=level, scale=scale, count=level_at, hours=hours, shape=shape)


_loaded: dict[tuple[str, str], Background] = {}


def read_background(path: Path, encoder: Encoder, *, progress: Progress = no_progress) -> Background:
    """Compute the background of a recording, such as an hour of the user's room; nothing is cached.

    Raises:
        AudioError: the recording is not audio.
        InputError: it is shorter than a minute.
    """
    _check_length(path)
    frames = compute_frames(path, encoder, "background", progress=progress)
    return Background(frames, encoder.hop_s, encoder.fingerprint, path)


def _load(path: Path, encoder: Encoder, progress: Progress) -> Background:
    if not path.is_file():
        raise InputError(f"{path}: no such recording; correct the variable {VARIABLE}, or unset it")
    key = encoder.fingerprint, file_digest(path)
    if key not in _loaded:
        _check_length(path)
        frames = cached_frames(path, encoder, "background", progress=progress)
        _loaded[key] = Background(frames, encoder.hop_s, encoder.fingerprint, path)
    return _loaded[key]


def _check_length(path: Path) -> None:
    length_s = duration_s(path)
    if length_s < SHORTEST_S:
        raise InputError(
            f"{path}: {length_s:.0f} s of background are too short for a threshold; use at least {SHORTEST_S:.0f} s, "
            "better ten minutes"
        )
