import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.search import windows


def random_frames(count, width=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, width)) * rng.uniform(0.1, 3, (count, 1))).astype(np.float32)


def slow_scores(encoder, frames, starts, vector, lengths):
    """Scores of windows by the encoder itself, from the frames of their region; shape (rows, lengths)."""
    scores = np.full((len(frames), len(lengths)), windows.NO_SCORE)
    for row, start in enumerate(starts):
        for column, length in enumerate(lengths):
            if 2 * (row + 1 - start) >= length:
                scores[row, column] = encoder.embed_windows(frames[start:], [row + 1 - start], length)[0] @ vector
    return scores


@pytest.mark.parametrize("parts", [1, 3])
@settings(max_examples=12)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_scores_are_cosines_of_the_embeddings_of_the_encoder(make_sum_encoder, parts, sizes, seed):
    encoder = make_sum_encoder(parts=parts)
    numbers, scales = windows.quantize(random_frames(sum(sizes), seed=seed))
    frames = windows.dequantize(numbers, scales)
    starts = windows.region_starts(np.array(sizes))
    vector = windows.dequantize(*windows.quantize(random_frames(1, seed=seed + 1)))[0]
    vector /= np.linalg.norm(vector)
    lengths = windows.window_lengths(0.04)
    norms = windows.measure_norms(numbers, scales, starts, lengths, parts)
    dots = windows.dot_products(numbers, scales, vector, parts)
    scores, chosen = windows.score_windows(dots, norms, starts, [3, 5], lengths)
    expected = slow_scores(encoder, frames, starts, vector, [lengths[3], lengths[5]])
    # Norms are stored as float16.
    assert scores == pytest.approx(expected.max(axis=1), abs=2e-3)
    assert np.isin(chosen[scores > windows.NO_SCORE], [lengths[3], lengths[5]]).all()
    of_chosen = np.where(chosen == lengths[3], expected[:, 0], expected[:, 1])
    assert of_chosen[scores > windows.NO_SCORE] == pytest.approx(scores[scores > windows.NO_SCORE], abs=2e-3)


@pytest.mark.parametrize("parts", [1, 3])
def test_embeddings_are_those_of_the_encoder(make_sum_encoder, parts):
    encoder = make_sum_encoder(parts=parts)
    frames = random_frames(60)
    stops = np.array([5, 20, 33, 60])
    found = windows.embed_windows(frames, np.zeros(4, np.int64), stops, 12, parts)
    assert found == pytest.approx(encoder.embed_windows(frames, stops, 12), abs=1e-6)
    later = windows.embed_windows(frames, np.full(4, 20), np.array([25, 28, 40, 60]), 12, parts)
    assert later == pytest.approx(encoder.embed_windows(frames[20:], np.array([5, 8, 20, 40]), 12), abs=1e-6)


def test_results_do_not_depend_on_the_chunk_size():
    frames = random_frames(300)
    numbers, scales = windows.quantize(frames)
    starts = windows.region_starts(np.array([90, 10, 200]))
    whole = (
        windows.measure_norms(numbers, scales, starts, [3, 17], 1),
        windows.dot_products(numbers, scales, frames[0], 1),
    )
    chunks = (
        windows.measure_norms(numbers, scales, starts, [3, 17], 1, chunk=7),
        windows.dot_products(numbers, scales, frames[0], 1, chunk=7),
    )
    for one, other in zip(whole, chunks, strict=True):
        assert one == pytest.approx(other, rel=2e-3, abs=1e-4)


def test_quantization_changes_frames_little():
    frames = random_frames(50)
    restored = windows.dequantize(*windows.quantize(frames))
    assert np.abs(restored - frames).max() < 0.005 * np.abs(frames).max()
    assert windows.dequantize(*windows.quantize(np.zeros((2, 4), np.float32))).tolist() == np.zeros((2, 4)).tolist()


def test_window_lengths_range_from_a_syllable_to_a_phrase_in_steps_of_a_quarter():
    for hop_s in (0.02, 0.04, 0.08):
        lengths = np.array(windows.window_lengths(hop_s))
        assert lengths[0] * hop_s == pytest.approx(windows.SHORTEST_S, abs=hop_s)
        assert windows.LONGEST_S / 1.3 < lengths[-1] * hop_s <= windows.LONGEST_S + hop_s
        assert (np.diff(lengths) > 0).all()
        assert (lengths[4:] / lengths[3:-1]).max() < 1.4
