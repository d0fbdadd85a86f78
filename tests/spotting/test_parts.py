import numpy as np
import pytest

from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll
from earmark.spotting.parts import SPANS, PartRules, embed_parts


def test_parts_are_the_embeddings_of_their_windows(stand_in, say):
    frames = stand_in.frames(say("rise"))
    parts = embed_parts(stand_in, frames, 25, 16)
    assert parts.shape == (len(SPANS), stand_in.dimension)
    expected = stand_in.embed_windows(frames, [25, 17, 25], np.array([16, 4, 8]))
    np.testing.assert_allclose(parts[[0, 2, 6]], expected, atol=1e-6)


def test_a_short_word_is_compared_as_a_whole():
    rules = PartRules.of([0.5], [5])
    similarity = np.zeros((7, 1), np.float32)
    similarity[0] = 0.9
    assert rules.combine(similarity)[0] == pytest.approx(0.9)


def test_the_worst_half_limits_a_long_word_and_the_worst_quarter_a_longer_one():
    similarity = np.array([[0.9] * 3, [0.9] * 3, [0.9] * 3, [0.9] * 3, [0.1] * 3, [0.9] * 3, [0.5] * 3], np.float32)
    rules = PartRules.of([0.9, 1.0, 1.3], [1_000_000] * 3)
    # 0.9 s: half of the score is the mean of the quarters, 0.7; the allowance of both limits is 0.2.
    np.testing.assert_allclose(rules.combine(similarity), [0.3, 0.3, 0.1], atol=1e-6)
    similarity[4] = 0.6
    np.testing.assert_allclose(rules.combine(similarity), [0.7, 0.5, 0.6], atol=1e-6)


def test_the_limits_of_few_takes_are_wider():
    similarity = np.array([[0.9] * 3, [0.9] * 3, [0.9] * 3, [0.9] * 3, [0.1] * 3, [0.9] * 3, [0.5] * 3], np.float32)
    limited = PartRules.of([1.3] * 3, [1, 2, 5]).combine(similarity)
    np.testing.assert_allclose(limited, [0.1 + 0.2, 0.1 + 0.075, 0.1], atol=1e-6)


def joined(say, *words, seed=40):
    waves = [say(word, before_s=0.0, after_s=0.0, noise_db=-90.0, seed=seed) for word in words]
    wave = np.concatenate([np.zeros(8000), *waves, np.zeros(12_000)])
    return (wave + 3e-5 * np.random.default_rng(seed).standard_normal(len(wave))).astype(np.float32)


def test_a_phrase_is_found_in_its_order_only(say, make_encoder):
    """An encoder without order, as the shipped ones: the mean of the frames."""
    encoder = make_encoder()
    keyword = enroll("rise bow", [joined(say, "rise", "bow", seed=n) for n in range(3)], encoder=encoder)
    detector = Detector(keyword, encoder=encoder)
    best = {
        words: detector.scores(joined(say, *words))[1].max()
        for words in (("rise", "bow"), ("bow", "rise"), ("rise",), ("bow",), ("rise", "fall"), ("fall", "bow"))
    }
    assert max(best, key=lambda words: best[words]) == ("rise", "bow")
    assert best[("rise", "bow")] > 0.75 > 0.7 > sorted(best.values())[-2]
