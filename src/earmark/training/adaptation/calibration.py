"""What the scores of an adapted encoder mean, without labels: it shall fire as often as the encoder that it was.

The start's card says at which threshold a keyword fires falsely how often. Keywords are enrolled with both encoders
from segments that were mined as alike, and both listen for them in recordings that the takes are not from. Where the
start's scores reach its threshold so many times, the adapted encoder's threshold is the one that its scores reach as
many times. Among those are words that are truly there, for both; nobody need know which.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, AudioError, Wave, read
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, read_manifest
from earmark.models.calibration import Calibration
from earmark.models.encoder import Encoder, load_encoder
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll, reembed
from earmark.spotting.keyword import Keyword
from earmark.spotting.takes import EnrollmentError, TakeWarning
from earmark.training.export.calibration import UNCALIBRATED, count_alarms
from earmark.training.export.onnx_graph import set_card
from earmark.training.run.progress import follow

Floats = NDArray[np.floating]

_KEYWORDS = 60
_TAKES = 3
_WORD_S = 0.45, 0.97
_SILENCE_S = 0.3
_LEAST_ALARMS = 5  # fewer say nothing about a threshold
_LEAST_GRID, _LEAST_SLOPE = 10, 0.1
_GRID = np.linspace(0, 1, 501)


def calibrate_like(
    path: Path, before: Path, pairs: Path, sounds: Sequence[Path], *, minutes: float = 20.0, seed: int = 0
) -> Calibration:
    """Give an adapted encoder the thresholds at which it fires as often as the encoder that it was.

    Thresholds that are reached too seldom to count follow the ones that are not, along a straight line.

    Args:
        path: the adapted encoder, an .onnx file; its card is written.
        before: the encoder that it was adapted from, with a card that says what scores mean.
        pairs: a manifest of pairs that were mined, best of such as the adapted encoder did not learn from: the others
            have come closer to each other than to what is like them elsewhere.
        sounds: recordings to listen to.
        minutes: how much is listened to at most.
        seed: which pairs, and which recordings.

    Returns:
        The calibration of the adapted encoder.

    Raises:
        InputError: the card of the start says nothing, or there is too little to listen to.
    """
    start, adapted = load_encoder(before), load_encoder(path)
    known = start.calibration
    adapted.calibration = UNCALIBRATED
    generator = np.random.default_rng(seed)
    manifest = read_manifest(pairs)
    keywords, sources = _keywords(manifest.clips, manifest.folder, start, generator)
    if not keywords:
        raise InputError(f"{pairs}: no pairs as long as words to enroll")
    again = [reembed(keyword, adapted, false_alarms_per_hour=1.0) for keyword in keywords]
    detectors = Detector(keywords, encoder=start), Detector(again, encoder=adapted)
    counts = np.zeros((2, len(_GRID)))
    heard_s = 0.0
    chosen = [sounds[row] for row in generator.permutation(len(sounds)).tolist()]
    for place in follow(chosen, "calibrating"):
        try:
            wave = read(place)
        except AudioError:  # left out and told before
            continue
        heard_s += len(wave) / SAMPLE_RATE
        foreign = np.array([place.resolve() not in some for some in sources])
        for row, detector in enumerate(detectors):
            counts[row] += count_alarms(np.where(foreign, detector.scores(wave)[1], 0), _GRID)
        if heard_s > 60 * minutes:
            break
    thresholds = match_thresholds(counts[0], counts[1], known.thresholds)
    calibration = Calibration(
        rates=known.rates,
        thresholds=tuple(round(value, 3) for value in thresholds),
        slope=round(known.slope * _spread(known.thresholds) / _spread(thresholds), 2),
        details={"as_often_as": start.name, "keyword_hours": round(heard_s / 3600 * len(keywords), 1)},
    )
    set_card(path, {"calibration": calibration.to_card()})
    return calibration


def match_thresholds(before: Floats, after: Floats, wanted: Sequence[float]) -> list[float]:
    """Thresholds that scores of another kind come to as often.

    Args:
        before: how often scores come to each of 501 thresholds from 0 to 1, shape (501,).
        after: the same of the other scores.
        wanted: thresholds for the former, falling.

    Returns:
        Thresholds for the latter, falling.

    Raises:
        InputError: too few scores to compare.
    """
    # Scores rise through low thresholds seldom, as they are above them all the time.
    before, after = (np.maximum.accumulate(counts[::-1])[::-1] for counts in (before, after))
    is_known = (before >= _LEAST_ALARMS) & (min(wanted) / 2 <= _GRID)
    # Where several thresholds are reached as often, the highest of them stands for all, on both sides: otherwise an
    # encoder that did not change at all would get higher thresholds than it had.
    is_highest = np.append(before[1:] < before[:-1], True)
    if is_known.sum() < _LEAST_GRID or (is_known & is_highest).sum() < 2:
        raise InputError("too little to listen to; adapt to more recordings")
    x = _GRID[is_known & is_highest]
    counted = before[is_known & is_highest]
    y = np.array([_GRID[after >= count][-1] if (after >= count).any() else 0.0 for count in counted])
    inside = np.interp(wanted, x, y)
    beyond = y[-1] + max(_LEAST_SLOPE, float(np.polyfit(x, y, 1)[0])) * (np.array(wanted) - x[-1])
    found = np.where(np.array(wanted) > x[-1], beyond, inside).clip(0.01, 0.995)
    return np.maximum.accumulate(found[::-1])[::-1].tolist()


def _spread(thresholds: Sequence[float]) -> float:
    return max(0.02, thresholds[0] - thresholds[-1])


def _keywords(
    clips: Sequence[Clip], folder: Path, encoder: Encoder, generator: np.random.Generator
) -> tuple[list[Keyword], list[set[Path]]]:
    """Keywords of segments and what was mined as like them, and the recordings that each has its takes from."""
    keywords: list[Keyword] = []
    sources: list[set[Path]] = []
    groups = [*_groups(clips)]
    for number in generator.permutation(len(groups)).tolist():
        takes = groups[number]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TakeWarning)
                waves = [_cut(folder, clip) for clip in takes]
                keywords.append(enroll(f"mined {number}", waves, encoder=encoder))
        except EnrollmentError:
            continue
        sources.append({(folder / clip.path).resolve() for clip in takes})
        if len(keywords) == _KEYWORDS:
            break
    return keywords, sources


def _groups(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Segments as long as words, each with up to two of its partners, from as many recordings."""
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
        own = {clip.path: clip for clip in found if clip.path != key[0]}
        if own:
            yield [first_of[key], *[*own.values()][: _TAKES - 1]]


def _is_word(clip: Clip) -> bool:
    return _WORD_S[0] <= (clip.end_s or 0.0) - clip.start_s <= _WORD_S[1]


def _cut(folder: Path, clip: Clip) -> Wave:
    wave = read(folder / clip.path)
    stop = None if clip.end_s is None else round(clip.end_s * SAMPLE_RATE)
    return np.pad(wave[round(clip.start_s * SAMPLE_RATE) : stop], round(_SILENCE_S * SAMPLE_RATE))
