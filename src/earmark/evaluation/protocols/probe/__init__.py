"""The few-label probe: train a classifier of embeddings on few labeled clips of each word, and test it on other clips.

Humayun, Yassin and Abas 2021 evaluate a representation with 3,000 labeled clips of 30 words and a dense classifier.
"""

from earmark.evaluation.protocols.probe.linear import classify_linear
from earmark.evaluation.protocols.probe.predictions import (
    Classifier,
    Predictions,
    ProbeResult,
    WordResult,
    compute_metrics,
    labels_text,
    predict,
    rates_of,
    words_of,
)
from earmark.evaluation.protocols.probe.rates import METRICS, WordRates
from earmark.evaluation.protocols.probe.settings import ProbeSettings
from earmark.evaluation.protocols.probe.splits import LabelSplit, keep_words, split_lists, split_speakers

__all__ = [
    "METRICS",
    "Classifier",
    "LabelSplit",
    "Predictions",
    "ProbeResult",
    "ProbeSettings",
    "WordRates",
    "WordResult",
    "classify_linear",
    "compute_metrics",
    "keep_words",
    "labels_text",
    "predict",
    "rates_of",
    "split_lists",
    "split_speakers",
    "words_of",
]
