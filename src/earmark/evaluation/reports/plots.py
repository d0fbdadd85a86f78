"""The plots of each evaluation: DET, ROC, scores, confusion, projection."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation import plots
from earmark.evaluation.embedders import stacked
from earmark.evaluation.metrics import ErrorCurve, error_curve
from earmark.evaluation.protocols import few_shot, open_set
from earmark.evaluation.protocols.few_shot import Scored, ScoredPair
from earmark.evaluation.protocols.open_set import ScoredOpenSet
from earmark.evaluation.protocols.probe import Predictions, ProbeResult, labels_text, rates_of
from earmark.evaluation.protocols.trials import ListPair, TrialClip

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

FILES = ("det.png", "roc.png", "scores.png", "confusion.png", "projection.png")
PROBE_FILES = ("per-word.png", "confusion.png")


def draw_few_shot(
    folder: Path, scored: Scored, vectors: Mapping[str, Floats], *, title: str = "", seed: int = 0
) -> None:
    """Write the plots of a few-shot evaluation.

    Args:
        folder: folder to write to.
        scored: scores by condition; the lists of a condition are pooled.
        vectors: embeddings by path, at least for the clips of `projected_clips`.
        title: title of each plot.
        seed: seed of the choice of clips and of t-SNE for the projection.
    """
    curves = {name: _pooled(pairs) for name, pairs in scored.items()}
    plots.save(plots.det_plot(curves, title=title), folder / "det.png")
    plots.save(plots.roc_plot(curves, title=title), folder / "roc.png")
    kinds = {name: _kinds(pairs) for name, pairs in scored.items()}
    plots.save(plots.score_plot(kinds, title=title), folder / "scores.png")
    confusions = {name: few_shot.confusion(pairs) for name, pairs in scored.items()}
    plots.save(plots.confusion_plot(confusions, title=f"{title}, target clips only"), folder / "confusion.png")
    lists = {name: tuple(pair.pair for pair in pairs) for name, pairs in scored.items()}
    clips = projected_clips(lists, seed=seed)
    words = sorted({word for pairs in lists.values() for pair in pairs for word in pair.keywords})
    labels = [clip.label if clip.label in words else "impostor" for clip in clips]
    figure = plots.projection_plot(stacked(clips, vectors), labels, words, title=title, seed=seed)
    plots.save(figure, folder / "projection.png")


def projected_clips(conditions: Mapping[str, tuple[ListPair, ...]], *, seed: int = 0) -> tuple[TrialClip, ...]:
    """The clips in the projection of `draw_few_shot`: at most 2,000 clips of the lists."""
    clips = {
        clip.path: clip for pairs in conditions.values() for pair in pairs for clip in (*pair.enrollment, *pair.test)
    }
    return _sample(sorted(clips.values(), key=lambda clip: clip.path), seed)


def draw_open_set(
    folder: Path, scored: ScoredOpenSet, vectors: Mapping[str, Floats], *, title: str = "", seed: int = 0
) -> None:
    """Write the plots of an open-set evaluation; arguments as in `draw_few_shot`."""
    curves = {name: error_curve(*trials) for name, trials in open_set.detection_trials(scored).items()}
    plots.save(plots.det_plot(curves, title=title, of="clips"), folder / "det.png")
    plots.save(plots.roc_plot(curves, title=title, of="clips"), folder / "roc.png")
    best, is_target = scored.scores.max(axis=1), scored.truth < len(scored.lists.classes)
    seen = scored.lists.is_seen
    kinds = {"target": best[is_target], "seen unknown": best[seen], "unseen unknown": best[~is_target & ~seen]}
    figure = plots.score_plot({"": kinds}, title=title, xlabel="score of the best target", threshold=scored.threshold)
    plots.save(figure, folder / "scores.png")
    plots.save(plots.confusion_plot({"": open_set.confusion(scored)}, title=title), folder / "confusion.png")
    lists = scored.lists
    kind = {
        clip.path: "seen unknown" if is_seen else "unseen unknown"
        for clip, is_seen in zip(lists.test, seen, strict=True)
    }
    clips = _sample(lists.test, seed)
    labels = [clip.label if clip.label in lists.classes else kind[clip.path] for clip in clips]
    figure = plots.projection_plot(stacked(clips, vectors), labels, lists.classes, title=title, seed=seed)
    plots.save(figure, folder / "projection.png")


def draw_verification(folder: Path, scores: Mapping[str, Floats], is_same: Bools, *, title: str = "") -> None:
    """Write the plots of a verification: DET, ROC, and the distribution of scores.

    Args:
        folder: folder to write to.
        scores: scores by kind, such as `cosine`, each shape (n,); only the last kind has a plot of the distribution.
        is_same: whether both clips of a pair are by one speaker, shape (n,).
        title: title of each plot.
    """
    curves = {kind: error_curve(values, is_same) for kind, values in scores.items()}
    plots.save(plots.det_plot(curves, title=title, of="pairs"), folder / "det.png")
    plots.save(plots.roc_plot(curves, title=title, of="pairs"), folder / "roc.png")
    kind, values = list(scores.items())[-1]
    kinds = {"one speaker": values[is_same], "two speakers": values[~is_same]}
    plots.save(plots.score_plot({"": kinds}, title=title, xlabel=f"score of a pair ({kind})"), folder / "scores.png")


def draw_probe(
    folder: Path, predictions: Sequence[Predictions], results: Sequence[ProbeResult], *, title: str = ""
) -> None:
    """Write the plots of a probe: precision and recall of each word, and confusion matrices.

    Args:
        folder: folder to write to.
        predictions: predictions of all splits.
        results: metrics of the predictions.
        title: title of each plot.
    """
    rates = {labels_text(result.labels): rates_of(predictions, result.labels) for result in results}
    plots.save(plots.per_word_plot(rates, title=title), folder / PROBE_FILES[0])
    confusions = {result.name: result.confusion for result in results}
    plots.save(plots.confusion_plot(confusions, title=title), folder / PROBE_FILES[1])


def _sample(clips: Sequence[TrialClip], seed: int) -> tuple[TrialClip, ...]:
    return tuple(clips[row] for row in plots.sampled(len(clips), np.random.default_rng(seed)))


def _pooled(pairs: tuple[ScoredPair, ...]) -> ErrorCurve:
    scores = np.concatenate([pair.scores.ravel() for pair in pairs])
    return error_curve(scores, np.concatenate([pair.positive.ravel() for pair in pairs]))


def _kinds(pairs: tuple[ScoredPair, ...]) -> dict[str, Floats]:
    right = [pair.scores[pair.positive] for pair in pairs]
    other = [pair.scores[(pair.targets >= 0)[:, None] & ~pair.positive] for pair in pairs]
    impostor = [pair.scores[pair.targets < 0].ravel() for pair in pairs]
    kinds = {"right keyword": right, "another keyword": other, "impostor clip": impostor}
    return {kind: np.concatenate(values) for kind, values in kinds.items()}
