from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from earmark.spotting.detector import Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrollment import enroll
from earmark.spotting.rivals import contained


@pytest.fixture(scope="module")
def encoder(make_encoder: Any) -> Any:
    return make_encoder()


@pytest.fixture(scope="module")
def keywords(say: Any, encoder: Any) -> dict[str, Any]:
    """A word, another word, and a phrase of both."""
    made = {
        word: enroll(word, [say(word, seed=seed) for seed in range(3)], encoder=encoder) for word in ("rise", "fall")
    }
    joined = [
        np.concatenate([say("rise", after_s=0, seed=seed), say("fall", before_s=0, seed=seed)]) for seed in range(3)
    ]
    return made | {"rise fall": enroll("rise fall", joined, encoder=encoder)}


def test_the_words_of_a_phrase_are_contained_in_it(keywords: dict[str, Any]) -> None:
    given = list(keywords.values())
    assert contained(given, np.array([0.75, 0.7, 0.7])) == [True, True, False]
    assert contained(given[:2], np.array([0.75, 0.7])) == [False, False]


def test_a_keyword_alone_is_contained_in_none(keywords: dict[str, Any]) -> None:
    assert contained([keywords["rise"]], np.array([-1.0])) == [False]


def test_keywords_of_different_encoders_cannot_be_compared(keywords: dict[str, Any]) -> None:
    other = replace(keywords["fall"], encoder="f" * 16)
    assert contained([keywords["rise"], other], np.array([0.7, 0.7])) == [True, True]


def test_a_detection_comes_sooner_than_hold_s_unless_a_longer_keyword_contains_the_word(
    keywords: dict[str, Any], encoder: Any, say: Any, hush: Any
) -> None:
    wave = np.concatenate([say("rise", seed=7), hush(2.0)])

    def reported_s(*names: str, **settings: Any) -> float:
        """Time of the first detection, in chunks of 40 ms."""
        chosen = [keywords[name] for name in names]
        detector = Detector(chosen, encoder=encoder, settings=DetectorSettings(hold_s=0.4, threshold=0.75, **settings))
        for start in range(0, len(wave), 640):
            if detector.push(wave[start : start + 640]):
                return start / 16_000
        raise AssertionError("not detected")

    patient = reported_s("rise", rise_per_s=-50)
    assert reported_s("rise") <= patient - 0.2
    assert reported_s("rise", "fall") == reported_s("rise")
    assert reported_s("rise", "rise fall") == patient
    assert reported_s("rise", "rise fall", exclusive=False) == reported_s("rise")
