import io
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import soundfile as sf
import soxr

from earmark import audio, demo
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.spotting.enrollment import enroll
from earmark.spotting.speech import find_speech
from earmark.spotting.takes import TakeWarning
from earmark.spotting.word_remarks import SAME_RECORDING, largest_correlation


def doubts_and_remarks(takes: Sequence[Wave]) -> tuple[list[list[str]], list[list[str]]]:
    """Doubts and remarks on each take, with the shipped encoder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TakeWarning)
        keyword = enroll("hey jupiter", takes, background=None)
    return [list(take.doubts) for take in keyword.takes], [list(take.remarks) for take in keyword.takes]


@pytest.fixture
def words() -> list[Wave]:
    return [audio.read(path) for path in demo.take_files()]


def word_of(take: Wave) -> tuple[int, int]:
    start_s, end_s = find_speech(take) or (0.0, 0.0)
    return round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)


def test_the_takes_of_the_demo_have_no_remarks(words: list[Wave]) -> None:
    assert doubts_and_remarks(words) == ([[]] * 5, [[]] * 5)


def opus(wave: Wave) -> Wave:
    file = io.BytesIO()
    sf.write(file, wave, SAMPLE_RATE, format="OGG", subtype="OPUS")
    file.seek(0)
    return np.asarray(sf.read(file, dtype="float32")[0])


def telephone(wave: Wave) -> Wave:
    return np.asarray(soxr.resample(soxr.resample(wave, SAMPLE_RATE, 8_000), 8_000, SAMPLE_RATE))


def noisy(wave: Wave) -> Wave:
    power = float(np.sqrt(np.mean(wave**2)))
    return wave + 0.1 * power * np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        np.copy,
        np.negative,
        lambda wave: 0.2 * wave[3_001:],
        lambda wave: np.pad(wave, (777, 0)),
        opus,
        telephone,
        noisy,
    ],
    ids=["same", "inverted", "scaled and cut", "shifted", "opus", "telephone", "noisy"],
)
def test_a_copy_of_a_take_is_doubted(words: list[Wave], change: Callable[[Wave], Wave]) -> None:
    doubts, _ = doubts_and_remarks([*words[:3], np.asarray(change(words[1]), np.float32)])
    assert doubts[:3] == [[], [], []]
    (doubt,) = doubts[3]
    assert doubt.startswith("take 4 is the same recording as take 2:")


def test_the_largest_correlation_is_that_of_plain_loops() -> None:
    generator = np.random.default_rng(0)
    word, wave = generator.standard_normal(20).astype(np.float32), generator.standard_normal(60).astype(np.float32)
    slow = max(
        abs(float(word @ part) / float(np.linalg.norm(word) * np.linalg.norm(part)))
        for part in (wave[start : start + 20] for start in range(41))
    )
    assert largest_correlation(word, wave) == pytest.approx(slow, rel=1e-5)
    assert largest_correlation(wave, word) == pytest.approx(slow, rel=1e-5)
    assert largest_correlation(word[:0], wave) == largest_correlation(np.zeros(9, np.float32), wave) == 0


def test_takes_of_one_word_by_several_voices_are_no_copies(words: list[Wave]) -> None:
    for place, take in enumerate(words):
        start, stop = word_of(take)
        for other in words[:place]:
            assert largest_correlation(take[start:stop], other) < SAME_RECORDING - 0.2


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("share", [0.25, 0.4])
@pytest.mark.parametrize("side", ["start", "end"])
def test_a_take_that_is_cut_off_is_remarked(words: list[Wave], place: int, share: float, side: str) -> None:
    start, stop = word_of(words[place])
    lost = round(share * (stop - start))
    words[place] = words[place][start + lost :] if side == "start" else words[place][: stop - lost]
    _, remarks = doubts_and_remarks(words)
    assert any(remark.startswith(f"take {place + 1} is cut off at its {side}:") for remark in remarks[place])
    assert not any("cut off" in remark for other in range(5) if other != place for remark in remarks[other])


def drums(generator: np.random.Generator) -> Wave:
    """Six decaying strokes of noise, and chords of three tones."""
    time_s = np.arange(4_000) / SAMPLE_RATE
    strokes = np.concatenate([generator.standard_normal(4_000) * np.exp(-25 * time_s) for _ in range(6)])
    notes_hz = 110 * 2 ** (generator.integers(0, 24, 3) / 12)
    chord = np.sum([np.sin(2 * np.pi * note_hz * np.arange(24_000) / SAMPLE_RATE) for note_hz in notes_hz], axis=0)
    hush = 1e-4 * generator.standard_normal(40_000)
    return (np.pad(0.2 * strokes + 0.05 * chord, 8_000) + hush).astype(np.float32)


@pytest.mark.parametrize("count", [0, 4])
def test_music_is_doubted(words: list[Wave], count: int) -> None:
    doubts, _ = doubts_and_remarks([*words[:count], drums(np.random.default_rng(0))])
    assert any("sounds like music or noise" in doubt for doubt in doubts[-1])
    assert not any(doubts[:-1])
