import re

import pytest

from earmark import audio, demo


def test_the_demo_enrolls_detects_compares_and_plots(run, tmp_path):
    result = run("demo", "--out", tmp_path / "demo.png")
    assert (result.code, result.err) == (0, "")
    assert all(path.name in result.out for path in demo.take_files())
    assert re.search(r"Detected \d of 4, with \d+ false alarms?\.", result.out)
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_demo_works_without_a_plot(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = run("demo")
    assert result.code == 0
    assert '[plots]"' in result.out
    assert run("demo", "--out", "demo.png").code == 2


def test_the_demo_audio_is_small_and_contains_the_true_times():
    length_s = audio.duration_s(demo.STREAM)
    assert len(demo.take_files()) == 5
    assert 20 < length_s < 30
    assert all(0 < start_s < end_s < length_s for start_s, end_s in demo.true_places())
    assert sum(path.stat().st_size for path in demo.STREAM.parent.glob("*.flac")) < 600_000


@pytest.mark.parametrize("path", demo.take_files(), ids=lambda path: path.stem)
def test_each_take_of_the_demo_is_found_where_it_was_put(path):
    from earmark.spotting.speech import find_speech

    wave = audio.read(path)
    found = find_speech(wave)
    assert found is not None
    start_s, end_s = found
    assert start_s == pytest.approx(0.5, abs=0.07)
    assert end_s == pytest.approx(len(wave) / 16_000 - 0.5, abs=0.07)
