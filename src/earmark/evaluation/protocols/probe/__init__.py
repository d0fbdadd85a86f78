"""The few-label judgment of an encoder: few labeled clips of each word teach a classifier, others test it.

Humayun, Yassin and Abas 2021 judge a representation so, by 3,000 labeled clips of 30 words and a dense classifier.
"""

from earmark.evaluation.protocols.probe.draws import Draw, draw_from_lists, draw_from_speakers, keep_words
from earmark.evaluation.protocols.probe.judgment import (
    Answers,
    Classifier,
    ProbeResult,
    WordResult,
    answer,
    labels_text,
    measure,
    rates_of,
    words_of,
)
from earmark.evaluation.protocols.probe.linear import classify_linear
from earmark.evaluation.protocols.probe.rates import NUMBERS, WordRates

__all__ = [
    "NUMBERS",
    "Answers",
    "Classifier",
    "Draw",
    "ProbeResult",
    "WordRates",
    "WordResult",
    "answer",
    "classify_linear",
    "draw_from_lists",
    "draw_from_speakers",
    "keep_words",
    "labels_text",
    "measure",
    "rates_of",
    "words_of",
]
