from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from earmark import audio, demo, load_encoder
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.spotting.agreement import LEAST_SIMILARITY, Span, agree, align
from earmark.spotting.enrollment import enroll
from earmark.spotting.speech import find_speech

Floats = NDArray[np.float32]
Change = Callable[[Wave, Wave], tuple[Wave, float]]

HOP_S = 0.04
WORD = 16  # frames


def sounds(count: int, generator: np.random.Generator, loud: float = 12.0) -> Floats:
    """Frames of a sound: random directions that change every fourth frame."""
    kept = generator.standard_normal((-(-count // 4), 48)).repeat(4, axis=0)[:count]
    return np.asarray(loud * kept / np.linalg.norm(kept, axis=1, keepdims=True), np.float32)


def take(word: Floats, before: int, after: int, generator: np.random.Generator) -> Floats:
    """Frames of a word between frames of background."""
    hush = generator.standard_normal((before + after + len(word), 48)).astype(np.float32) / 2
    hush[before : before + len(word)] += word
    return np.asarray(hush, np.float32)


def span(start: int, stop: int) -> Span:
    return start * HOP_S, stop * HOP_S


def agreed_spans(frames: list[Floats], spans: list[Span], hop_s: float) -> list[Span]:
    return [each.span for each in agree(frames, spans, hop_s)]


def near(found: Span, true: Span, within_s: float = 0.1) -> bool:
    return abs(found[0] - true[0]) <= within_s and abs(found[1] - true[1]) <= within_s


def slow_best_score(similarity: Floats) -> float:
    """Best local alignment, by plain loops."""
    gain = similarity.astype(float) - LEAST_SIMILARITY
    score: dict[tuple[int, int], float] = {}
    for row in range(len(gain)):
        for column in range(len(gain[0])):
            before = max(score.get((row - down, column - right), 0.0) for down, right in ((1, 1), (1, 2), (2, 1)))
            score[row, column] = max(0.0, max(0.0, before) + gain[row, column])
    return max(score.values())


@given(seed=st.integers(0, 1000), rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_the_alignment_has_the_best_score(seed: int, rows: int, columns: int) -> None:
    similarity = np.random.default_rng(seed).uniform(-0.5, 0.9, (rows, columns)).astype(np.float32)
    found = align(similarity)
    assert found.score == pytest.approx(slow_best_score(similarity))
    assert 0 <= found.first[0] <= found.first[1] <= rows
    assert 0 <= found.second[0] <= found.second[1] <= columns


def test_a_word_is_aligned_with_itself_and_with_a_slower_one() -> None:
    generator = np.random.default_rng(0)
    word = sounds(WORD, generator)
    slow = word.repeat(3, axis=0)[::2]  # 1.5 times as long
    for other in (word, slow):
        first, second = take(word, 9, 5, generator), take(other, 4, 20, generator)
        found = align(np.asarray(first / 12 @ (second / 12).T, np.float32))
        assert near(span(*found.first), span(9, 9 + WORD))
        assert near(span(*found.second), span(4, 4 + len(other)))


@pytest.mark.parametrize("count", [2, 3, 5, 12])
@pytest.mark.parametrize("gap", [2, 4])
def test_a_sound_beside_the_word_in_one_take_is_cut_off(count: int, gap: int) -> None:
    generator = np.random.default_rng(count)
    word = sounds(WORD, generator)
    takes = [take(word, 10 + place, 8, generator) for place in range(count)]
    spans = [span(10 + place, 10 + place + WORD) for place in range(count)]
    uh = np.concatenate([sounds(7, generator), np.zeros((gap, 48), np.float32), word])
    takes[0], spans[0] = take(uh, 5, 8, generator), span(5, 5 + len(uh))
    found = agreed_spans(takes, spans, HOP_S)
    assert near(found[0], span(12 + gap, 12 + gap + WORD))
    assert found[1:] == spans[1:]


def test_the_word_is_found_beside_a_longer_sound_that_was_taken_for_it() -> None:
    generator = np.random.default_rng(1)
    word = sounds(WORD, generator)
    takes = [take(word, 10, 8, generator) for _ in range(4)]
    other = np.concatenate([word, np.zeros((12, 48), np.float32), sounds(24, generator, 16)])
    found = agreed_spans([*takes, take(other, 10, 8, generator)], [span(10, 26)] * 4 + [span(38, 62)], HOP_S)
    assert near(found[-1], span(10, 26))
    assert found[:4] == [span(10, 26)] * 4


def test_of_a_word_said_twice_one_is_chosen() -> None:
    generator = np.random.default_rng(2)
    word = sounds(WORD, generator)
    twice = np.concatenate([word, np.zeros((5, 48), np.float32), word])
    takes = [take(word, 10, 8, generator) for _ in range(4)]
    found = agreed_spans([*takes, take(twice, 10, 8, generator)], [span(10, 26)] * 4 + [span(10, 47)], HOP_S)
    assert near(found[-1], span(10, 26)) or near(found[-1], span(31, 47))


def test_a_single_take_and_takes_with_nothing_in_common_keep_their_spans() -> None:
    generator = np.random.default_rng(3)
    takes = [take(sounds(WORD, generator), 10, 8, generator) for _ in range(5)]
    spans = [span(10 - place, 26) for place in range(5)]
    assert agreed_spans(takes[:1], spans[:1], HOP_S) == spans[:1]
    assert agreed_spans(takes, spans, HOP_S) == spans
    assert agreed_spans([], [], HOP_S) == []


def test_a_take_of_another_word_keeps_its_span_and_moves_no_other() -> None:
    generator = np.random.default_rng(4)
    word = sounds(WORD, generator)
    takes = [take(word, 10, 8, generator) for _ in range(4)]
    spans = [span(10, 26)] * 4 + [span(6, 40)]
    assert agreed_spans([*takes, take(sounds(30, generator), 8, 8, generator)], spans, HOP_S) == spans


@given(seed=st.integers(0, 1000), shifts=st.lists(st.integers(-2, 2), min_size=4, max_size=14))
@settings(max_examples=30)
def test_good_spans_stay_and_all_spans_are_inside_their_takes(seed: int, shifts: list[int]) -> None:
    generator = np.random.default_rng(seed)
    word = sounds(WORD, generator)
    takes = [take(word, 4 + place % 7, 3, generator) for place in range(len(shifts) // 2)]
    spans = [
        span(4 + place % 7 + first, 4 + place % 7 + WORD + last)
        for place, (first, last) in enumerate(zip(shifts[::2], shifts[1::2], strict=False))
    ]
    for own, before, after in zip(takes, spans, agreed_spans(takes, spans, HOP_S), strict=True):
        assert near(before, after, 0.2)
        assert 0 <= after[0] < after[1] <= len(own) * HOP_S


def test_takes_whose_length_is_no_multiple_of_a_frame_stay_inside_the_recording(stand_in, say) -> None:
    takes = [say("rise", seed=seed, after_s=0.4 + 0.013 * seed) for seed in range(4)]
    for kept in enroll("rise", takes, encoder=stand_in).takes:
        assert 0 <= kept.start_s < kept.end_s <= len(kept.wave) / SAMPLE_RATE


def syllable(other: Wave) -> Wave:
    """A quarter of a second out of the middle of a recording, without clicks at its ends."""
    middle = len(other) // 2
    return other[middle - 2_000 : middle + 2_000] * np.hanning(4_000).astype(np.float32) ** 0.2


def after_a_syllable(wave: Wave, other: Wave) -> tuple[Wave, float]:
    inserted = np.concatenate([wave[:6_000], syllable(other), wave[:1_600], wave[6_400:]])
    return inserted, (6_000 + 4_000 + 1_600 - 6_400) / SAMPLE_RATE


def after_zeros(wave: Wave, other: Wave) -> tuple[Wave, float]:
    del other
    return np.pad(wave, (8_000, 4_000)), 0.5


def before_another_voice(wave: Wave, other: Wave) -> tuple[Wave, float]:
    return np.concatenate([wave[:-5_000], 0.5 * other[8_000:20_000]]), 0.0


@pytest.mark.parametrize("change", [after_a_syllable, after_zeros, before_another_voice])
@pytest.mark.parametrize("damaged", [{0}, {1, 3}])
def test_words_of_the_demo_are_found_where_they_are_by_their_agreement(change: Change, damaged: set[int]) -> None:
    encoder = load_encoder()
    words = [audio.read(path) for path in demo.take_files()]
    other = audio.read(demo.STREAM)[: 2 * SAMPLE_RATE]
    waves, true = [], []
    for place, wave in enumerate(words):
        changed, later_s = change(wave, other) if place in damaged else (wave, 0.0)
        waves.append(changed)
        true.append((0.5 + later_s, len(wave) / SAMPLE_RATE - 0.5 + later_s))
    spans = [find_speech(wave) or (0.0, 0.0) for wave in waves]
    found = agreed_spans([encoder.frames(wave) for wave in waves], spans, encoder.hop_s)
    for place, (now, right) in enumerate(zip(found, true, strict=True)):
        assert near(now, right, 0.15), (place, spans[place])
