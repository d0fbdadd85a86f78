"""Calibration of an adapted encoder without labels, so that it detects as often as its initialization.

The model card of the initialization has a threshold for each number of false alarms per hour. Keywords are enrolled
with both encoders from mined segments, and both encoders score recordings that contain none of the takes. For each
threshold, the number of detections of the initialization is counted. The new threshold is the score at which the
adapted encoder has the same number of detections. No labels are needed, because true detections count for both
encoders.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, AudioError, Wave, read
from earmark.core.errors import InputError
from earmark.core.progress import Progress, follow, no_progress
from earmark.data.manifest import Clip, Manifest, read_manifest
from earmark.models.calibration import Calibration
from earmark.models.encoder import Encoder, load_encoder
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll, reembed
from earmark.spotting.keyword import Keyword
from earmark.spotting.takes import EnrollmentError, TakeWarning
from earmark.training.export.calibration import UNCALIBRATED, count_alarms
from earmark.training.export.onnx_graph import set_card

Floats = NDArray[np.floating]

_TAKES = 3
_WORD_S = 0.45, 0.97
_SILENCE_S = 0.3
_LEAST_ALARMS = 5  # least number of detections that determine a threshold
_LEAST_GRID, _LEAST_SLOPE = 10, 0.1
_GRID = np.linspace(0, 1, 501)


def calibrate_like(
    path: Path,
    before: Path,
    pairs: Path,
    recordings: Sequence[Path],
    *,
    keywords: int = 60,
    minutes: float = 20.0,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Calibration:
    """Calibrate an adapted encoder, so that it detects keywords as often as the encoder that it was adapted from.

    Thresholds that few scores reach are extrapolated along a straight line.

    Args:
        path: the adapted encoder (.onnx); the calibration is written into its model card.
        before: the initialization: the encoder (.onnx) before the adaptation, which has a calibration.
        pairs: manifest of mined pairs. They should not be training data of the adapted encoder, because training makes
            the segments of a pair more similar.
        recordings: audio files to score.
        keywords: maximum number of keywords.
        minutes: maximum duration of the scored audio.
        seed: seed of the random choice of keywords and recordings.
        progress: counts recordings.

    Raises:
        InputError: the initialization has no calibration, or the recordings have too few detections.
    """
    first, adapted = load_encoder(before), load_encoder(path)
    known = first.calibration
    adapted.calibration = UNCALIBRATED
    generator = np.random.default_rng(seed)
    enrolled, sources = _enroll(read_manifest(pairs), first, keywords, generator)
    if not enrolled:
        raise InputError(
            f"{pairs}: no pair has the length of a word, so no keyword can be enrolled; adapt to more recordings"
        )
    again = [reembed(keyword, adapted, false_alarms_per_hour=1.0, background=None) for keyword in enrolled]
    chosen = [recordings[row] for row in generator.permutation(len(recordings)).tolist()]
    detectors = Detector(enrolled, encoder=first), Detector(again, encoder=adapted)
    counts, scored_s = _count_alarms(detectors, sources, chosen, 60 * minutes, progress)
    thresholds = match_thresholds(counts[0], counts[1], known.thresholds)
    calibration = Calibration(
        rates=known.rates,
        thresholds=tuple(round(value, 3) for value in thresholds),
        slope=round(known.slope * _spread(known.thresholds) / _spread(thresholds), 2),
        details={"as_often_as": first.name, "keyword_hours": round(scored_s / 3600 * len(enrolled), 1)},
    )
    set_card(path, {"calibration": calibration.to_card()})
    return calibration


def _count_alarms(
    detectors: Sequence[Detector],
    sources: Sequence[set[Path]],
    recordings: Sequence[Path],
    most_s: float,
    progress: Progress,
) -> tuple[Floats, float]:
    """Score recordings with each detector, and count its detections at 501 thresholds from 0 to 1.

    `sources` has, for each keyword, the recordings of its takes, in which the keyword is not scored. The scoring stops
    after `most_s` seconds of audio.

    Returns:
        Number of detections, shape (detectors, 501), and the duration of the scored audio in seconds.
    """
    counts = np.zeros((len(detectors), len(_GRID)))
    scored_s = 0.0
    for file in follow(recordings, "calibrating", progress):
        try:
            wave = read(file)
        except AudioError:  # the user was warned when the recording was dropped
            continue
        scored_s += len(wave) / SAMPLE_RATE
        is_foreign = np.array([file.resolve() not in some for some in sources])
        for row, detector in enumerate(detectors):
            counts[row] += count_alarms(np.where(is_foreign, detector.scores(wave)[1], 0), _GRID)
        if scored_s > most_s:
            break
    return counts, scored_s


def match_thresholds(before: Floats, after: Floats, wanted: Sequence[float]) -> list[float]:
    """Find the thresholds at which a second encoder has as many detections as a first encoder has at its thresholds.

    Args:
        before: number of detections of the first encoder at each of 501 thresholds from 0 to 1, shape (501,).
        after: number of detections of the second encoder at the same thresholds, shape (501,).
        wanted: thresholds of the first encoder, descending.

    Returns:
        Thresholds of the second encoder, descending.

    Raises:
        InputError: the first encoder has detections at too few thresholds.
    """
    # Scores rarely cross low thresholds, because they are above them most of the time. The counts are made monotonic.
    before, after = (np.maximum.accumulate(counts[::-1])[::-1] for counts in (before, after))
    is_known = (before >= _LEAST_ALARMS) & (min(wanted) / 2 <= _GRID)
    # Among thresholds with equal counts, the highest is used for both encoders, so that an unchanged encoder keeps its
    # thresholds.
    is_highest = np.append(before[1:] < before[:-1], True)
    if is_known.sum() < _LEAST_GRID or (is_known & is_highest).sum() < 2:
        raise InputError("the recordings have too few detections for a calibration; adapt to more recordings")
    x = _GRID[is_known & is_highest]
    counted = before[is_known & is_highest]
    y = np.array([_GRID[after >= count][-1] if (after >= count).any() else 0.0 for count in counted])
    inside = np.interp(wanted, x, y)
    beyond = y[-1] + max(_LEAST_SLOPE, float(np.polyfit(x, y, 1)[0])) * (np.array(wanted) - x[-1])
    found = np.where(np.array(wanted) > x[-1], beyond, inside).clip(0.01, 0.995)
    return np.maximum.accumulate(found[::-1])[::-1].tolist()


def _spread(thresholds: Sequence[float]) -> float:
    return max(0.02, thresholds[0] - thresholds[-1])


def _enroll(
    manifest: Manifest, encoder: Encoder, most: int, generator: np.random.Generator
) -> tuple[list[Keyword], list[set[Path]]]:
    """Enroll up to `most` keywords; the takes of a keyword are similar segments of a manifest of mined pairs.

    Returns:
        The keywords, and for each keyword the paths of the recordings that contain its takes.
    """
    keywords: list[Keyword] = []
    sources: list[set[Path]] = []
    groups = [*_groups(manifest.clips)]
    for number in generator.permutation(len(groups)).tolist():
        takes = groups[number]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TakeWarning)
                waves = [_read_padded(manifest, clip) for clip in takes]
                keywords.append(enroll(f"mined {number}", waves, encoder=encoder, background=None))
        except EnrollmentError:
            continue
        sources.append({(manifest.folder / clip.path).resolve() for clip in takes})
        if len(keywords) == most:
            break
    return keywords, sources


def _groups(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Group the segments of mined pairs, to enroll a keyword from each group.

    The two segments of a pair have the same label. A group is a segment with the length of a word, and one or two
    segments of other recordings that are in a pair with it.
    """
    sides: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        sides[clip.label].append(clip)
    partners: dict[tuple[str, float, float | None], list[Clip]] = defaultdict(list)
    first_of: dict[tuple[str, float, float | None], Clip] = {}
    for one, other in (pair for pair in sides.values() if len(pair) == 2):
        if _is_word(one) and _is_word(other):
            for side, partner in ((one, other), (other, one)):
                key = side.path, side.start_s, side.end_s
                first_of[key] = side
                partners[key].append(partner)
    for key, found in partners.items():
        by_recording = {clip.path: clip for clip in found if clip.path != key[0]}
        if by_recording:
            yield [first_of[key], *[*by_recording.values()][: _TAKES - 1]]


def _is_word(clip: Clip) -> bool:
    return _WORD_S[0] <= (clip.end_s or 0.0) - clip.start_s <= _WORD_S[1]


def _read_padded(manifest: Manifest, clip: Clip) -> Wave:
    """Read the audio of a segment, and add silence before and after it."""
    wave = read(manifest.folder / clip.path)
    stop = None if clip.end_s is None else round(clip.end_s * SAMPLE_RATE)
    return np.pad(wave[round(clip.start_s * SAMPLE_RATE) : stop], round(_SILENCE_S * SAMPLE_RATE))
