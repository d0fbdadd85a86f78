"""Calibration of an exported encoder: false alarms per hour, measured on background audio without the keywords.

Keywords are enrolled from the validation clips of the recipe. The background audio is the recipe's noise, and the
sentences of ``data.background`` or ``data.sounds`` whose transcripts contain none of these keywords. Test data are not
used.
"""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, read
from earmark.core.errors import InputError
from earmark.core.progress import Progress, follow, no_progress
from earmark.models.calibration import Calibration
from earmark.models.encoder import Encoder, load_encoder
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll
from earmark.spotting.keyword import Keyword
from earmark.spotting.takes import EnrollmentError, TakeWarning
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.export.onnx_graph import set_card
from earmark.training.words.corpus import selected, validation_bank
from earmark.training.words.recipe import Recipe

RATES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0)
UNCALIBRATED = Calibration(rates=(1.0,), thresholds=(1.0,), slope=1.0)
"""Placeholder with which a detector can score before the encoder is calibrated."""

_TAKES = 5
_KEYWORDS_PER_WORD = 3
_TESTS_PER_WORD = 20
_HOURS = 2.5
_PIECE_S = 60
_THRESHOLDS = np.linspace(0, 1, 501)
_SLOPES = np.geomspace(2, 200, 100)


def calibrate(
    path: Path, recipe: Recipe, *, hours: float = _HOURS, seed: int = 0, progress: Progress = no_progress
) -> Calibration:
    """Measure the false alarms and misses of an exported encoder, and write its thresholds into its model card.

    Args:
        path: the exported encoder (.onnx).
        recipe: word recipe with the validation clips, the sentences and the noise.
        hours: maximum duration of the background audio.
        seed: seed of the choice of takes and background.
        progress: counts recordings that are read, and pieces that are scored.

    Returns:
        The calibration, whose rates are false alarms per hour and keyword.

    Raises:
        InputError: the recipe has no validation clips, too few of each word, or no sentences with transcripts.
    """
    bank = validation_bank(recipe, progress=progress)
    if bank is None:
        raise InputError(
            "data.validation: the calibration needs labeled clips of words that are not in the training, but the "
            "recipe has none; name a source of such clips"
        )
    encoder = load_encoder(path)
    encoder.calibration = UNCALIBRATED
    generator = np.random.default_rng(seed)
    keywords, own, others = _keywords(bank, encoder, generator)
    if not others:
        raise InputError(
            f"data.validation: no word has more than {_TAKES} clips, so misses cannot be measured; add clips of a word"
        )
    detector = Detector(keywords, encoder=encoder)
    pieces = list(join_waves(_background(recipe, bank, hours, generator, progress), _PIECE_S * SAMPLE_RATE))
    background = [detector.scores(piece)[1] for piece in follow(pieces, "calibrating", progress)]
    keyword_hours = sum(map(len, background)) * encoder.hop_s / 3600 * len(keywords)
    rate = sum(count_alarms(scores, _THRESHOLDS) for scores in background) / keyword_hours
    threshold = [_threshold(rate, wanted) for wanted in RATES]
    hits = np.array([detector.scores(wave)[1].max(axis=0)[keyword] for keyword, wave in zip(own, others, strict=True)])
    false_scores = np.concatenate([max_per_second(scores, encoder.hop_s) for scores in background])
    margins = np.concatenate([hits, false_scores]) - threshold[RATES.index(1.0)]
    slope = fit_slope(margins, np.arange(len(margins)) < len(hits), np.ones(len(margins)), _SLOPES)
    calibration = Calibration(
        rates=RATES,
        thresholds=tuple(round(value, 3) for value in threshold),
        slope=round(slope, 2),
        miss_rates=tuple(round(float((hits < value).mean()), 4) for value in threshold),
        details={"keyword_hours": round(keyword_hours, 1)},
    )
    set_card(path, {"calibration": calibration.to_card()})
    return calibration


def count_alarms(scores: NDArray[np.float32], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count how often the scores of all keywords together rise over each threshold: its number of false alarms.

    Args:
        scores: shape (t, keywords).
        thresholds: ascending, shape (n,).

    Returns:
        Number of crossings of each threshold, shape (n,).
    """
    before, after = scores[:-1].ravel(), scores[1:].ravel()
    rising = after > before
    # A rise from score b to score a crosses the thresholds in (b, a].
    first = np.searchsorted(thresholds, before[rising], side="right")
    last = np.searchsorted(thresholds, after[rising], side="right")
    steps = np.bincount(first, minlength=len(thresholds) + 1) - np.bincount(last, minlength=len(thresholds) + 1)
    crossings: NDArray[np.int64] = np.cumsum(steps)[: len(thresholds)]
    return crossings


def max_per_second(scores: NDArray[np.float32], hop_s: float) -> NDArray[np.float32]:
    """Compute the maximum score of each keyword in each whole second, shape (seconds · keywords,).

    Args:
        scores: shape (t, keywords).
        hop_s: time between scores, in seconds.
    """
    length = round(1 / hop_s)
    whole = scores[: len(scores) // length * length].reshape(-1, length, scores.shape[1])
    return whole.max(axis=1).ravel()


def fit_slope(
    margins: NDArray[np.floating],
    positive: NDArray[np.bool_],
    weights: NDArray[np.float64],
    slopes: NDArray[np.float64],
) -> float:
    """Fit the slope of a logistic curve that maps scores to probabilities, by maximum likelihood.

    Positive and negative scores have the same total weight.

    Args:
        margins: scores minus the threshold, shape (n,); the probability at the threshold is 0.5.
        positive: whether each score is of the enrolled keyword or speaker, shape (n,).
        weights: weights of the scores, shape (n,).
        slopes: candidates for the slope, shape (m,).
    """
    share = np.where(positive, weights / weights[positive].sum(), weights / weights[~positive].sum())
    signed = np.where(positive, margins, -margins)
    return float(slopes[np.argmin([float(share @ np.logaddexp(0, -slope * signed)) for slope in slopes])])


def join_waves(waves: Iterable[NDArray[np.float32]], length: int) -> Iterator[NDArray[np.float32]]:
    """Concatenate consecutive waves into pieces of at least `length` samples each; the last piece may be shorter."""
    held: list[NDArray[np.float32]] = []
    for wave in waves:
        held.append(wave)
        if sum(map(len, held)) >= length:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _threshold(rate: NDArray[np.float64], wanted: float) -> float:
    """Find the lowest threshold from which on the false alarms are at most the wanted rate.

    Args:
        rate: false alarms per hour and keyword at each threshold of a grid from 0 to 1.
        wanted: maximum rate.

    Returns:
        The threshold; the highest one of the grid if no threshold keeps the rate.
    """
    above = np.flatnonzero(rate > wanted)
    return float(_THRESHOLDS[min(above[-1] + 1, len(_THRESHOLDS) - 1)]) if len(above) else 0.0


def _keywords(
    bank: ClipBank, encoder: Encoder, generator: np.random.Generator
) -> tuple[list[Keyword], list[int], list[NDArray[np.float32]]]:
    """Enroll a few keywords of each word from random clips, and choose other clips of the same words as tests.

    Returns:
        The keywords; for each test clip, the number of its keyword; and the wave of each test clip.
    """
    keywords: list[Keyword] = []
    own: list[int] = []
    waves: list[NDArray[np.float32]] = []
    for label, name in enumerate(bank.labels):
        for number in range(_KEYWORDS_PER_WORD):
            clips = generator.permutation(np.flatnonzero(bank.label == label))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", TakeWarning)
                    takes = [bank.wave(clip) for clip in clips[:_TAKES]]
                    keywords.append(
                        enroll(f"{name} {number}", takes, encoder=encoder, false_alarms_per_hour=1.0, background=None)
                    )
            except EnrollmentError:
                continue
            for clip in clips[_TAKES : _TAKES + _TESTS_PER_WORD]:
                own.append(len(keywords) - 1)
                waves.append(bank.wave(clip))
    return keywords, own, waves


def _background(
    recipe: Recipe, bank: ClipBank, hours: float, generator: np.random.Generator, progress: Progress
) -> Iterator[NDArray[np.float32]]:
    """Yield audio without the keywords: the recipe's noise, then sentences in random order, up to `hours` in total.

    Raises:
        InputError: each sentence contains a word of `bank`, or none has a transcript.
    """
    words = {label.lower() for label in bank.labels}
    sentences = [
        (manifest.locate(clip), clip)
        for manifest in map(selected, recipe.data.background or recipe.data.sounds)
        for clip in manifest
        if (spoken := (clip.text or clip.label).lower().split()) and not words.intersection(spoken)
    ]
    if not sentences:
        raise InputError(
            "data.sounds: the calibration needs sentences whose transcripts contain no word of data.validation, but "
            "there are none; add such sentences"
        )
    noise = [(manifest.locate(clip), clip) for manifest in map(selected, recipe.data.noise) for clip in manifest]
    chosen = [*noise, *(sentences[number] for number in generator.permutation(len(sentences)))]
    left = round(hours * 3600 * SAMPLE_RATE)
    for path, clip in follow(chosen, "reading background", progress):
        stop = None if clip.end_s is None else round(clip.end_s * SAMPLE_RATE)
        wave = read(path)[round(clip.start_s * SAMPLE_RATE) : stop]
        yield wave
        left -= len(wave)
        if left < 0:
            break
