from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest
from earmark.data.silence import draw_silence, write_silence


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """Two noises of constant level with different signs, and a noise that is too short."""
    folder = tmp_path_factory.mktemp("noises")
    ramp = np.linspace(0.5, 1, 3 * 16_000, dtype=np.float32)
    audio.write(folder / "up.wav", ramp)
    audio.write(folder / "down.wav", -ramp)
    audio.write(folder / "short.wav", np.ones(15_999, np.float32))
    clips = tuple(Clip(name, label="_background_noise_", split="noise") for name in ("up.wav", "down.wav", "short.wav"))
    return Manifest(clips, folder)


def test_silence_is_quiet_one_second_long_and_of_every_noise(noises):
    drawn = dict(draw_silence(noises, 200))
    waves = np.stack([drawn[number] for number in range(200)])
    assert waves.shape == (200, 16_000)
    peaks = np.abs(waves).max(axis=1)
    assert peaks.max() <= 0.1
    assert 0.03 < peaks.mean() < 0.05  # gains from U(0, 0.1) of levels from 0.5 to 1
    assert 60 < (waves[:, 0] < 0).sum() < 140
    # The ratio of first to last value shows where a ramp was cut.
    assert np.ptp(waves[:, 0] / waves[:, -1]) > 0.07  # 0.75 to 0.83


def test_more_silence_begins_with_the_same_and_a_seed_gives_one_draw(noises):
    few, many = dict(draw_silence(noises, 5)), dict(draw_silence(noises, 50))
    for number, wave in few.items():
        np.testing.assert_array_equal(many[number], wave)
    other = dict(draw_silence(noises, 5, seed=1))
    assert not any(np.array_equal(other[number], wave) for number, wave in few.items())


def test_every_evaluation_hears_the_same_files(noises, tmp_path: Path):
    first = write_silence(noises, tmp_path / "a", 12)
    again = write_silence(noises, tmp_path / "b", 12)
    assert [clip.path for clip in first] == [f"_silence_/{number:03}.wav" for number in range(12)]
    assert {(clip.label, clip.split, clip.speaker) for clip in first} == {("_silence_", "test", "")}
    for one, other in zip(first, again, strict=True):
        assert first.locate(one).read_bytes() == again.locate(other).read_bytes()
        assert audio.duration_s(first.locate(one)) == 1


def test_a_noise_may_be_a_part_of_a_file(noises):
    part = Manifest((Clip("up.wav", 2.0, 3.0, split="noise"),), noises.folder)
    (_, wave), *_ = draw_silence(part, 1)
    whole = audio.read(noises.folder / "up.wav")[32_000:]
    np.testing.assert_allclose(wave / wave[0], whole / whole[0], rtol=1e-5)


def test_noise_that_is_too_short_is_refused(noises):
    short = Manifest(noises.clips[2:], noises.folder)
    with pytest.raises(InputError, match=str(noises.folder)):
        list(draw_silence(short, 1))


def test_noise_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"absent.wav"):
        list(draw_silence(Manifest((Clip("absent.wav"),), tmp_path), 1))
