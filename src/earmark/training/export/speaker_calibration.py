"""Calibration of an exported speaker encoder: thresholds for rates of false accepts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError
from earmark.core.progress import Progress, follow, no_progress
from earmark.core.vectors import unit
from earmark.evaluation.metrics import ErrorCurve, error_curve, frr_at_far
from earmark.models.calibration import Calibration
from earmark.models.speaker_encoder import load_speaker_encoder
from earmark.training.export.calibration import fit_slope
from earmark.training.export.onnx_graph import set_card
from earmark.training.words.corpus import validation_bank
from earmark.training.words.recipe import Recipe

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
TAKES = 5
_ENROLLMENTS = 4
_CLIPS_PER_SPEAKER = 40
_SLOPES = np.arange(2.0, 60.0, 0.5)


def calibrate_speaker(path: Path, recipe: Recipe, *, progress: Progress = no_progress) -> Calibration:
    """Measure the false accepts of a speaker encoder on validation clips, and write thresholds into its model card.

    Each speaker is enrolled with five clips and tested with the other clips.

    Args:
        path: the exported speaker encoder (.onnx).
        recipe: word recipe with the validation clips.
        progress: counts clips.

    Raises:
        InputError: the recipe has no validation clips, or too few.
    """
    bank = validation_bank(recipe, progress=progress)
    if bank is None:
        raise InputError(
            "data.validation: the calibration needs clips of speakers that are not in the training, but the recipe has "
            "none; add some"
        )
    encoder = load_speaker_encoder(path)
    generator = np.random.default_rng(0)
    groups = [generator.permutation(np.flatnonzero(bank.label == label)) for label in range(len(bank.labels))]
    clips = np.concatenate([group[:_CLIPS_PER_SPEAKER] for group in groups])
    units = np.stack([encoder.embed(bank.wave(clip)) for clip in follow(clips.tolist(), "calibrating", progress)])
    calibration = speaker_calibration([(units, bank.label[clips])])
    set_card(path, {"calibration": calibration.to_card()})
    return calibration


def speaker_calibration(groups: Sequence[tuple[NDArray[np.floating], NDArray[Any]]], *, fewest: int = 2) -> Calibration:
    """Compute thresholds for rates of false accepts, and the slope of the curve from score to probability.

    Each speaker is enrolled several times, with five clips or half of the speaker's clips, and scored against all other
    clips of the group. Each group has the same weight, and each speaker of a group has the same weight.

    Args:
        groups: unit embeddings, shape (n, d), with their speakers, shape (n,). Speakers are compared within a group
            only, because different microphones would make two voices too easy to distinguish.
        fewest: minimum number of clips of a speaker to enroll.

    Raises:
        InputError: fewer than two speakers of a group have enough clips.
    """
    generator = np.random.default_rng(0)
    same, other, share = [], [], []
    for units, names in groups:
        every, counts = np.unique(names, return_counts=True)
        enrolled = every[counts >= fewest] if len(every) > 1 else every[:0]
        share += [1 / max(1, len(enrolled))] * len(enrolled) * _ENROLLMENTS
        for name in enrolled.repeat(_ENROLLMENTS):
            own = generator.permutation(np.flatnonzero(names == name))
            chosen = own[: min(TAKES, len(own) // 2)]
            scores = units @ unit(units[chosen].mean(axis=0))
            is_test = np.ones(len(units), bool)
            is_test[chosen] = False
            same.append(scores[is_test & (names == name)])
            other.append(scores[names != name])
    if len(same) < 2 * _ENROLLMENTS:
        raise InputError(
            f"a speaker calibration needs at least two speakers with {fewest} clips or more each; add clips of speakers"
        )
    parts = [*same, *other]
    scores = np.concatenate(parts)
    weights = np.concatenate([np.full(len(part), of / len(part)) for part, of in zip(parts, share * 2, strict=True)])
    positive = np.arange(len(scores)) < sum(map(len, same))
    curve = error_curve(scores, positive, weights)
    threshold = [_threshold(curve, rate) for rate in RATES]
    return Calibration(
        rates=RATES,
        thresholds=tuple(round(value, 3) for value in threshold),
        slope=fit_slope(scores - threshold[RATES.index(0.05)], positive, weights, _SLOPES),
        rate_name="false_accepts",
        miss_rates=tuple(round(frr_at_far(curve, rate), 3) for rate in RATES),
        details={"speakers": len(same) // _ENROLLMENTS},
    )


def _threshold(curve: ErrorCurve, rate: float) -> float:
    """Find the lowest threshold, at most 1, at which the false-acceptance rate of a curve is at most `rate`."""
    lowest = float(curve.thresholds[np.flatnonzero(curve.far <= rate)[-1]])
    return min(1.0, lowest)
