import errno
import json

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.data.lists.spans import Span
from earmark.training.sequences.frames import (
    ContextSettings,
    LogMelFrameSettings,
    build_source,
    open_frames,
    section_frames,
    store_frames,
    times_s,
)
from earmark.training.sequences.frames import store as store_module

SOURCE = build_source(LogMelFrameSettings(n_mels=8, hop_s=0.02))


@pytest.fixture
def corpus(tmp_path):
    """Three recordings of noise, and sections of two speakers and of nobody known."""
    rng = np.random.default_rng(0)
    (tmp_path / "wavs").mkdir()
    for name, seconds in (("a", 3), ("b", 2), ("c", 2)):
        audio.write(tmp_path / f"wavs/{name}.wav", 0.1 * rng.standard_normal(seconds * 16_000))
    sections = [
        Span("wavs/b.wav", "eve", 0.25, 1.5),
        Span("wavs/a.wav", "adam / 1", 0.0, 1.0),
        Span("wavs/c.wav", "", 0.1, 1.9),
        Span("wavs/a.wav", "eve", 1.013, 2.9),
        Span("wavs/a.wav", "adam / 1", 0.5, 0.53),
    ]
    return tmp_path, sections


def test_the_store_gives_what_the_source_made(corpus):
    folder, sections = corpus
    store = store_frames(SOURCE, sections, folder, folder / "frames")
    assert len(store) == 5
    assert (store.width, store.hop_s) == (8, 0.02)
    for number, section in enumerate(sections):
        wave = audio.read(folder / section.path)
        frames, first_s = section_frames(SOURCE, wave, section.start_s, section.end_s, ContextSettings())
        found = store.section(number)
        assert found.dtype == np.float32
        assert store.counts[number] == len(frames)
        np.testing.assert_allclose(found, frames, rtol=1e-3)
        if len(frames):
            np.testing.assert_allclose(store.times_s(number), first_s + 0.02 * np.arange(len(frames)))
    assert store.counts.tolist() == [63, 51, 91, 95, 0]


def test_a_segment_has_the_frames_whose_instants_lie_in_it(corpus):
    folder, sections = corpus
    store = store_frames(SOURCE, sections, folder, folder / "frames")
    whole = SOURCE.frames(audio.read(folder / "wavs/a.wav"))
    at_s = times_s(SOURCE, len(whole))
    for start_s, end_s in ((1.2, 1.52), (1.205, 1.5), (1.02, 1.02), (2.5, 9.0), (1.033, 1.037), (0.0, 1.5)):
        inside = (at_s >= start_s - 1e-9) & (at_s <= end_s + 1e-9) & (at_s >= 1.013) & (at_s <= 2.9)
        np.testing.assert_allclose(store.segment(3, start_s, end_s), whole[inside], rtol=1e-3)


def test_speakers_that_are_there_are_not_encoded_again(corpus, monkeypatch):
    folder, sections = corpus
    store_frames(SOURCE, sections[:2], folder, folder / "frames")
    heard = []
    read = audio.read
    monkeypatch.setattr(store_module.audio, "read", lambda path: heard.append(path.name) or read(path))
    store = store_frames(SOURCE, sections[:3], folder, folder / "frames")
    assert heard == ["c.wav"]
    opened = store.section(0)
    untouched = open_frames(folder / "frames", sections[:1])
    # Eve has a section more, and keeps the other.
    again = store_frames(SOURCE, sections[3:4], folder, folder / "frames")
    assert heard == ["c.wav", "a.wav", "b.wav"]
    assert open_frames(folder / "frames", sections[:4]).counts.tolist() == [63, 51, 91, 95]
    assert again.counts.tolist() == [95]
    np.testing.assert_array_equal(opened, open_frames(folder / "frames", sections[:1]).section(0))
    assert len(list((folder / "frames").glob("*.npy"))) == 3
    # What was open reads on, and what was not yet finds its rows anew.
    np.testing.assert_array_equal(store.section(0), opened)
    np.testing.assert_array_equal(untouched.section(0), opened)


def test_work_that_was_cut_off_goes_on(corpus, monkeypatch):
    folder, sections = corpus

    def fail(path):
        if path.name == "c.wav":
            raise KeyboardInterrupt
        return read(path)

    read = audio.read
    monkeypatch.setattr(store_module.audio, "read", fail)
    with pytest.raises(KeyboardInterrupt):
        store_frames(SOURCE, sections, folder, folder / "frames")
    monkeypatch.setattr(store_module.audio, "read", read)
    assert not list((folder / "frames").glob(".*"))
    names = {json.loads(file.read_text())["speaker"] for file in (folder / "frames").glob("????????????????.json")}
    assert names == {"adam / 1", "eve"}
    with pytest.raises(InputError, match="encode"):
        open_frames(folder / "frames", sections)
    assert store_frames(SOURCE, sections, folder, folder / "frames").counts[2] == 91


def test_a_full_disk_is_said_and_leaves_no_half_speaker(corpus, monkeypatch):
    folder, sections = corpus

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_head", full)
    with pytest.raises(EarmarkError, match=r"No space left on device.*make room") as raised:
        store_frames(SOURCE, sections, folder, folder / "frames")
    assert not isinstance(raised.value, InputError)
    assert [file.name for file in (folder / "frames").iterdir()] == ["stamp.json"]


def test_frames_of_something_else_are_not_taken_for_these(corpus):
    folder, sections = corpus
    store_frames(SOURCE, sections, folder, folder / "frames")
    with pytest.raises(InputError, match="holds frames of log_mel, or of other settings"):
        store_frames(build_source(LogMelFrameSettings(n_mels=9)), sections, folder, folder / "frames")
    with pytest.raises(InputError, match="other settings"):
        store_frames(SOURCE, sections, folder, folder / "frames", ContextSettings(context_s=1))


def test_sections_that_are_not_stored_are_named(corpus):
    folder, sections = corpus
    store_frames(SOURCE, sections, folder, folder / "frames")
    with pytest.raises(InputError, match=r"wavs/b\.wav from 0\.25 to 1\.75 s"):
        open_frames(folder / "frames", [Span("wavs/b.wav", "eve", 0.25, 1.75)])
    with pytest.raises(InputError, match="holds no frames"):
        open_frames(folder / "nowhere", sections)


def test_a_section_beyond_its_recording_and_a_missing_recording_are_named(corpus):
    folder, _ = corpus
    with pytest.raises(InputError, match=r"^wavs/b\.wav: a section starts at 7 s"):
        store_frames(SOURCE, [Span("wavs/b.wav", "eve", 7.0, 8.0)], folder, folder / "frames")
    with pytest.raises(InputError, match=r"gone\.wav"):
        store_frames(SOURCE, [Span("wavs/gone.wav", "eve", 0.0, 1.0)], folder, folder / "frames")


def test_no_sections_are_an_empty_store(corpus):
    folder, _ = corpus
    assert len(store_frames(SOURCE, [], folder, folder / "frames")) == 0


def test_numbers_beyond_half_precision_stay_finite(corpus):
    folder, sections = corpus

    class Loud:
        name, fingerprint, width, hop, first_s, reach_s = "loud", "1", 1, 160, 0.0, 0.01

        def frames(self, wave):
            return np.full((len(wave) // 160, 1), 1e6, np.float32)

    store = store_frames(Loud(), sections[:1], folder, folder / "frames")
    assert np.isfinite(store.section(0)).all()


def test_the_files_are_plain_numpy_arrays_of_16_bits(corpus):
    folder, sections = corpus
    store = store_frames(SOURCE, sections, folder, folder / "frames")
    total = 0
    for file in (folder / "frames").glob("*.npy"):
        rows = np.load(file, allow_pickle=False)
        assert rows.dtype == np.float16
        total += len(rows)
    assert total == store.counts.sum()
