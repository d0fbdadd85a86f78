"""What an encoder's scores mean: thresholds for rates of false alarms, measured on hours of speech and noise.

Keywords are enrolled from the recipe's validation clips; the background is the sentences of
``data.background``, or else ``data.sounds``, whose transcripts hold none of those words, and the recipe's noise. Both
stay out of every benchmark.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.audio import SAMPLE_RATE, read
from earmark.core.errors import InputError
from earmark.models.calibration import Calibration
from earmark.models.encoder import load_encoder
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll
from earmark.spotting.keyword import Keyword
from earmark.spotting.takes import EnrollmentError, TakeWarning
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.export.encoder import set_card
from earmark.training.run.progress import follow
from earmark.training.words.corpus import selected, validation_bank
from earmark.training.words.recipe import Recipe

RATES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0)
_TAKES = 5
_KEYWORDS_A_WORD = 3
_TESTS_A_WORD = 20
_HOURS = 2.5
# Until it is measured: the detector wants some calibration to run at all.
NOT_YET = Calibration(rates=(1.0,), thresholds=(1.0,), slope=1.0)


def calibrate(path: Path, recipe: Recipe, *, hours: float = _HOURS, seed: int = 0) -> Calibration:
    """Measure an exported encoder's scores and write what they mean into its card.

    Args:
        path: the .onnx file.
        recipe: names the validation words, the sentences and the noise.
        hours: how much background is heard at most.
        seed: which takes, and which of the background.

    Returns:
        The calibration, for false alarms per hour and keyword.

    Raises:
        InputError: the recipe names no validation clips, too few of each word, or no sentences with transcripts.
    """
    bank = validation_bank(recipe)
    if bank is None:
        raise InputError("data.validation: calibration needs labeled clips of words that were not trained on")
    encoder = load_encoder(path)
    encoder.calibration = NOT_YET
    generator = np.random.default_rng(seed)
    keywords, own, others = _keywords(bank, encoder, generator)
    if not others:
        raise InputError(
            f"data.validation: no word has more than {_TAKES} clips, so that misses are not measured; add clips"
        )
    detector = Detector(keywords, encoder=encoder)
    background = [
        detector.scores(wave)[1] for wave in follow(_background(recipe, bank, hours, generator), "calibrating")
    ]
    heard_h = sum(map(len, background)) * encoder.hop_s / 3600
    grid = np.linspace(0, 1, 501)
    rate = sum(alarms(scores, grid) for scores in background) / (heard_h * len(keywords))
    # The lowest threshold that keeps each rate; 1 where none does.
    threshold = [
        float(grid[min(np.flatnonzero(rate > wanted)[-1] + 1, len(grid) - 1)]) if (rate > wanted).any() else 0.0
        for wanted in RATES
    ]
    hits = np.array([detector.scores(wave)[1].max(axis=0)[keyword] for keyword, wave in zip(own, others, strict=True)])
    misses = np.concatenate([_by_second(scores, encoder.hop_s) for scores in background])
    calibration = Calibration(
        rates=RATES,
        thresholds=tuple(round(value, 3) for value in threshold),
        slope=_slope(hits, misses, threshold[RATES.index(1.0)]),
        miss_rates=tuple(round(float((hits < value).mean()), 4) for value in threshold),
        details={"keyword_hours": round(heard_h * len(keywords), 1)},
    )
    set_card(path, {"calibration": calibration.to_card()})
    return calibration


def _keywords(
    bank: ClipBank, encoder: Any, generator: np.random.Generator
) -> tuple[list[Keyword], list[int], list[NDArray[np.float32]]]:
    """A few keywords of each word, and clips of the same words: the number of their keyword, and their wave."""
    keywords: list[Keyword] = []
    own: list[int] = []
    waves: list[NDArray[np.float32]] = []
    for label, name in enumerate(bank.labels):
        for number in range(_KEYWORDS_A_WORD):
            clips = generator.permutation(np.flatnonzero(bank.label == label))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", TakeWarning)
                    takes = [bank.wave(clip) for clip in clips[:_TAKES]]
                    keywords.append(enroll(f"{name} {number}", takes, encoder=encoder))
            except EnrollmentError:
                continue
            for clip in clips[_TAKES : _TAKES + _TESTS_A_WORD]:
                own.append(len(keywords) - 1)
                waves.append(bank.wave(clip))
    return keywords, own, waves


def _background(
    recipe: Recipe, bank: ClipBank, hours: float, generator: np.random.Generator
) -> list[NDArray[np.float32]]:
    words = {label.lower() for label in bank.labels}
    sentences = [
        (manifest.locate(clip), clip)
        for manifest in map(selected, recipe.data.background or recipe.data.sounds)
        for clip in manifest
        if (said := (clip.text or clip.label).lower().split()) and not words.intersection(said)
    ]
    if not sentences:
        raise InputError("data.sounds: calibration needs sentences with transcripts, to know what is not in them")
    noise = [(manifest.locate(clip), clip) for manifest in map(selected, recipe.data.noise) for clip in manifest]
    chosen = [*noise, *(sentences[number] for number in generator.permutation(len(sentences)))]
    waves = []
    left = round(hours * 3600 * SAMPLE_RATE)
    for path, clip in follow(chosen, "reading the background"):
        stop = None if clip.end_s is None else round(clip.end_s * SAMPLE_RATE)
        waves.append(read(path)[round(clip.start_s * SAMPLE_RATE) : stop])
        left -= len(waves[-1])
        if left < 0:
            break
    # Sentences one after another, in pieces of about a minute: a stream, as the detector hears it.
    return list(_joined(waves, 60 * SAMPLE_RATE))


def _joined(waves: Iterable[NDArray[np.float32]], least: int) -> Iterable[NDArray[np.float32]]:
    held: list[NDArray[np.float32]] = []
    for wave in waves:
        held.append(wave)
        if sum(map(len, held)) >= least:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def alarms(scores: NDArray[np.float32], grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """How often a score comes to each threshold from below, over all keywords, shape (len(grid),)."""
    before, after = scores[:-1].ravel(), scores[1:].ravel()
    rising = after > before
    # A rise from b to a crosses the thresholds in (b, a].
    first = np.searchsorted(grid, before[rising], side="right")
    last = np.searchsorted(grid, after[rising], side="right")
    steps = np.bincount(first, minlength=len(grid) + 1) - np.bincount(last, minlength=len(grid) + 1)
    crossings: NDArray[np.int64] = np.cumsum(steps)[: len(grid)]
    return crossings


def _by_second(scores: NDArray[np.float32], hop_s: float) -> NDArray[np.float32]:
    """The largest score of each second, all keywords in one row."""
    length = round(1 / hop_s)
    whole = scores[: len(scores) // length * length].reshape(-1, length, scores.shape[1])
    return whole.max(axis=1).ravel()


def _slope(hits: NDArray[np.floating], misses: NDArray[np.floating], threshold: float) -> float:
    """The steepness of a logistic curve with its middle at the threshold that makes hits and misses likeliest."""
    slopes = np.geomspace(2, 200, 100)
    likelihood = [
        -np.logaddexp(0, -slope * (hits - threshold)).mean() - np.logaddexp(0, slope * (misses - threshold)).mean()
        for slope in slopes
    ]
    return round(float(slopes[int(np.argmax(likelihood))]), 2)
