"""The open-set protocol of Huh et al. 2021: fixed target words, learned in training, among words that are none of them.

A test clip is given one of the targets or refused as unknown. Unknown words are *seen* where the training list has them
too, and *unseen* otherwise. `score` decides about every test clip from vectors; `count` turns decisions into numbers;
`compute_metrics` does both.
"""

from earmark.evaluation.protocols.open_set.decisions import Backend, Head, ScoredOpenSet, Unknown, score, search_svm
from earmark.evaluation.protocols.open_set.lists import SILENCE, OpenSetLists, read_lists
from earmark.evaluation.protocols.open_set.numbers import (
    METRICS,
    Estimate,
    OpenSetResult,
    compute_metrics,
    confusion,
    count,
    detection_trials,
)

__all__ = [
    "METRICS",
    "SILENCE",
    "Backend",
    "Estimate",
    "Head",
    "OpenSetLists",
    "OpenSetResult",
    "ScoredOpenSet",
    "Unknown",
    "compute_metrics",
    "confusion",
    "count",
    "detection_trials",
    "read_lists",
    "score",
    "search_svm",
]
