"""The open-set protocol of Huh et al. 2021: fixed target words, learned in training, among unknown words.

Each test clip is assigned a target or rejected as unknown. An unknown word is *seen* if the training list has it too,
and *unseen* otherwise. `score` scores and decides every test clip from its embedding, `count` computes the metrics of
the scores and decisions, and `compute_metrics` does both.
"""

from earmark.evaluation.estimates import Estimate
from earmark.evaluation.protocols.open_set.decisions import (
    Backend,
    Head,
    OpenSetSettings,
    ScoredOpenSet,
    Unknown,
    score,
    search_svm,
)
from earmark.evaluation.protocols.open_set.lists import SILENCE, OpenSetLists, read_lists
from earmark.evaluation.protocols.open_set.numbers import (
    METRICS,
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
    "OpenSetSettings",
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
