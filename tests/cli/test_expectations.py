import json
import re

import numpy as np
import pytest

from earmark import audio
from earmark.spotting.lexicon import Lexicon


@pytest.fixture
def room(say, hush, tmp_path, monkeypatch):
    """Two minutes of other words as the background."""
    wave = hush(120.0)
    for number, start in enumerate(range(16_000, 118 * 16_000, 24_000)):
        wave[start : start + 9600] += say("fall", before_s=0, after_s=0, noise_db=-90.0, seed=number)
    audio.write(tmp_path / "room.wav", wave)
    monkeypatch.setenv("EARMARK_BACKGROUND", str(tmp_path / "room.wav"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def lexicon(say, stand_in, monkeypatch):
    """A lexicon of two words."""
    words = ("rising", "falling")
    frames = stand_in.frames(
        np.concatenate([say(word, seed=20, before_s=0.7, after_s=0.7) for word in ("rise", "fall")])
    )
    short = Lexicon(words, ((0.7, 1.3), (2.7, 3.3)), frames)
    monkeypatch.setattr("earmark.spotting.lexicon.load_lexicon", lambda _encoder, **_options: short)


@pytest.mark.usefixtures("room", "lexicon")
def test_enrollment_says_what_to_expect(run, takes, talk, say, tmp_path):
    out = run("enroll", "rise", *takes).out
    assert re.search(r"^expected: .* false alarms per hour, .* missed", out, re.MULTILINE)
    assert "sounds like: rising\n" in out
    assert "missed" in run("enroll", "one", takes[0]).out
    # The same word under another name.
    twin = run("enroll", "climb", *takes[:3])
    assert "'rise'" in twin.err
    (hit, *_) = [json.loads(line) for line in run("detect", talk, "--json").out.splitlines()]
    for value in (hit["score"], hit["probability"]):
        assert value == pytest.approx(round(value, 4), abs=1e-12)
    audio.write(tmp_path / "bow.wav", say("bow"))
    assert "'rise'" not in run("enroll", "bow", tmp_path / "bow.wav").err


def test_nothing_is_expected_without_a_measured_threshold(run, takes):
    assert "expected:" not in run("enroll", "rise", *takes).out
