import numpy as np
import pytest

from earmark.search.energy_gate import LevelMeter, active_regions, intersect
from earmark.search.settings import IndexSettings


def regions_of(wave, cuts=(), **settings):
    meter = LevelMeter()
    for block in np.split(wave, list(cuts)):
        meter.push(block)
    return active_regions(meter.finish(), len(wave) / 16_000, IndexSettings(**settings))


def test_words_are_kept_and_long_pauses_are_dropped(say, hush):
    wave = np.concatenate([hush(3), say("rise", before_s=0, after_s=0), hush(4), say("fall", before_s=0, after_s=0)])
    (first, second) = regions_of(wave)
    assert first == (pytest.approx(2.8, abs=0.1), pytest.approx(3.8, abs=0.1))
    assert second == (pytest.approx(7.4, abs=0.1), pytest.approx(8.2, abs=0.01))


def test_a_short_pause_does_not_end_a_region(say):
    wave = np.concatenate([say("rise", before_s=2, after_s=0.2), say("fall", before_s=0.2, after_s=2)])
    assert len(regions_of(wave)) == 1
    assert len(regions_of(wave, bridge_s=0, margin_s=0)) == 2


def test_regions_do_not_depend_on_the_blocks(say, hush):
    wave = np.concatenate([hush(2), say("rise"), hush(2)])
    assert regions_of(wave, cuts=[1, 5, 100, 7777, 7777, 40_000]) == regions_of(wave)


def test_noise_and_silence_have_no_region(hush):
    assert regions_of(hush(30, level=0.1)) == []
    assert regions_of(np.zeros(90_000, np.float32)) == []
    assert regions_of(np.zeros(9_000, np.float32)) == []
    assert regions_of(np.zeros(9, np.float32)) == []


def test_a_short_recording_is_kept_as_a_whole(say):
    word = say("rise", before_s=0, after_s=0)
    assert regions_of(word) == [(0.0, len(word) / 16_000)]


def test_long_speech_without_pauses_is_kept(say, hush):
    speech = np.concatenate([say("rise", before_s=0.05, after_s=0.05, seed=seed) for seed in range(60)])
    kept = regions_of(np.concatenate([hush(5), speech, hush(5)]))
    assert sum(end - start for start, end in kept) == pytest.approx(len(speech) / 16_000, rel=0.05)


def test_without_a_gate_everything_is_kept(hush):
    assert regions_of(hush(3), energy_gate=False) == [(0.0, 3.0)]


def test_regions_are_cut_to_spans():
    assert intersect([(0.0, 2.0)], []) == [(0.0, 2.0)]
    assert intersect([(0.0, 2.0), (3.0, 4.0)], [(3.5, 9.0), (1.0, 1.5), (1.4, 1.6)]) == [(1.0, 1.6), (3.5, 4.0)]
    assert intersect([(0.0, 2.0)], [(5.0, 6.0)]) == []
