"""Embeddings around one center per word: three targets, silence, two seen and two unseen unknowns, by six speakers."""

import numpy as np
import pytest

from earmark.evaluation.protocols.open_set import OpenSetLists
from earmark.evaluation.protocols.trials import TrialClip

TARGETS = ("yes", "no", "go")
SEEN, UNSEEN = ("cat", "dog"), ("bird", "tree")
TRAIN_WORDS = (*TARGETS, "_silence_", *SEEN)


def clips_of(words, speakers, takes=5):
    return tuple(TrialClip(word, f"{word}/{who}_nohash_{take}.wav") for word in words for who in speakers
                 for take in range(takes))  # fmt: skip


@pytest.fixture
def lists():
    train, test = clips_of(TRAIN_WORDS, "abcd"), clips_of((*TRAIN_WORDS, *UNSEEN), "ef")
    return OpenSetLists(TARGETS, train, test)


@pytest.fixture
def speakers(lists):
    return {path: path.split("/")[1][0] for path in lists.paths}


@pytest.fixture
def vectors(lists):
    rng = np.random.default_rng(0)
    words = (*TRAIN_WORDS, *UNSEEN)
    corners = dict(zip(words, rng.normal(size=(len(words), 12)), strict=True))
    return {path: corners[path.split("/")[0]] + 0.9 * rng.normal(size=12) for path in lists.paths}
