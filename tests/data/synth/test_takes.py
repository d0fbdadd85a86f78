import shutil
from pathlib import Path

import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.data.synth.takes import synthesize_takes
from earmark.data.synth.voices import SynthError
from earmark.spotting.speech import find_speech

espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@espeak
def test_each_take_contains_the_word_at_its_span_in_another_voice() -> None:
    made = synthesize_takes("hey  jupiter", count=6, engines=["espeak-ng"])
    assert len({take.source for take in made}) == len(made) == 6
    assert all(take.source.startswith("synthetic: espeak-ng_en") for take in made)
    for take in made:
        assert 0.4 < take.end_s - take.start_s < 1.5
        assert (take.start_s, len(take.wave)) == (0.3, round((take.end_s + 0.3) * 16_000))
        found = find_speech(take.wave)
        assert found is not None
        assert abs(found[0] - take.start_s) < 0.15


@espeak
def test_the_same_text_gives_the_same_takes() -> None:
    one, other = (synthesize_takes("jupiter", count=2, engines=["espeak-ng"]) for _ in range(2))
    assert [take.source for take in one] == [take.source for take in other]
    np.testing.assert_array_equal(one[0].wave, other[0].wave)


@espeak
def test_other_languages_are_spoken_by_espeak_alone() -> None:
    made = synthesize_takes("cocina", "es", count=3)
    assert all(take.source.startswith("synthetic: espeak-ng_es") for take in made)


@espeak
def test_an_unknown_language_is_one_line_with_the_cure() -> None:
    with pytest.raises(SynthError, match=r"'casa': 2 of 2 voices in language 'xx-yy' failed .*espeak-ng --voices"):
        synthesize_takes("casa", "xx-yy", count=2)


@pytest.mark.parametrize("text", ["", "  ", "?!"])
def test_a_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="nothing to speak"):
        synthesize_takes(text)


def test_a_missing_synthesizer_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SynthError, match=r"espeak-ng; apt install espeak-ng"):
        synthesize_takes("jupiter")
    (tmp_path / "flite").write_text("#!/bin/sh\n")
    (tmp_path / "flite").chmod(0o755)
    with pytest.raises(SynthError, match=r"espeak-ng; apt install espeak-ng"):
        synthesize_takes("cocina", "es")
