import errno
import json

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.data.lists.spans import Span
from earmark.training.sequences.frames import (
    ContextSettings,
    FrameStore,
    LogMelFrameSettings,
    section_frames,
    store_frames,
    times_s,
)
from earmark.training.sequences.frames import store as store_module

SOURCE = LogMelFrameSettings(n_mels=8, hop_s=0.02).build_source()


@pytest.fixture
def corpus(tmp_path):
    """Three recordings of noise, and sections of two speakers and of an unknown one."""
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


def all_frames(store, number):
    return store.frames(number, 0, store.counts[number])


def test_stored_frames_are_those_of_the_source(corpus):
    folder, sections = corpus
    store = store_frames(SOURCE, sections, folder, folder / "frames")
    assert len(store) == 5
    assert (store.width, store.hop_s) == (8, 0.02)
    for number, section in enumerate(sections):
        wave = audio.read(folder / section.path)
        frames, first_s = section_frames(SOURCE, wave, section.start_s, section.end_s, ContextSettings())
        found = all_frames(store, number)
        assert found.dtype == np.float32
        assert store.counts[number] == len(frames)
        np.testing.assert_allclose(found, frames, rtol=1e-3)
        if len(frames):
            assert store.span(number, first_s, first_s + 0.02 * (len(frames) - 1)) == (0, len(frames))
            assert store.span(number, first_s + 0.001, first_s + 0.019) == (1, 1)
    assert store.counts.tolist() == [63, 51, 91, 95, 0]


def test_a_segment_has_the_frames_whose_times_are_in_it(corpus):
    folder, sections = corpus
    store = store_frames(SOURCE, sections, folder, folder / "frames")
    whole = SOURCE.frames(audio.read(folder / "wavs/a.wav"))
    at_s = times_s(SOURCE, len(whole))
    for start_s, end_s in ((1.2, 1.52), (1.205, 1.5), (1.02, 1.02), (2.5, 9.0), (1.033, 1.037), (0.0, 1.5)):
        inside = (at_s >= start_s - 1e-9) & (at_s <= end_s + 1e-9) & (at_s >= 1.013) & (at_s <= 2.9)
        np.testing.assert_allclose(store.frames(3, *store.span(3, start_s, end_s)), whole[inside], rtol=1e-3)


def test_stored_speakers_are_not_computed_again(corpus, monkeypatch):
    folder, sections = corpus
    store_frames(SOURCE, sections[:2], folder, folder / "frames")
    reads: list[str] = []
    read = audio.read

    def counted(path):
        reads.append(path.name)
        return read(path)

    monkeypatch.setattr(audio, "read", counted)
    store = store_frames(SOURCE, sections[:3], folder, folder / "frames")
    assert reads == ["c.wav"]
    opened = all_frames(store, 0)
    untouched = FrameStore(folder / "frames", sections[:1])
    # Eve has one more section, and keeps the other.
    again = store_frames(SOURCE, sections[3:4], folder, folder / "frames")
    assert reads == ["c.wav", "a.wav", "b.wav"]
    assert FrameStore(folder / "frames", sections[:4]).counts.tolist() == [63, 51, 91, 95]
    assert again.counts.tolist() == [95]
    np.testing.assert_array_equal(opened, all_frames(FrameStore(folder / "frames", sections[:1]), 0))
    assert len(list((folder / "frames").glob("*.npy"))) == 3
    # A store that has opened the old file reads it; another one finds the new file.
    np.testing.assert_array_equal(all_frames(store, 0), opened)
    np.testing.assert_array_equal(all_frames(untouched, 0), opened)


def test_interrupted_work_continues(corpus, monkeypatch):
    folder, sections = corpus

    def fail(path):
        if path.name == "c.wav":
            raise KeyboardInterrupt
        return read(path)

    read = audio.read
    monkeypatch.setattr(audio, "read", fail)
    with pytest.raises(KeyboardInterrupt):
        store_frames(SOURCE, sections, folder, folder / "frames")
    monkeypatch.setattr(audio, "read", read)
    assert not list((folder / "frames").glob(".*"))
    names = {json.loads(file.read_text())["speaker"] for file in (folder / "frames").glob("????????????????.json")}
    assert names == {"adam / 1", "eve"}
    with pytest.raises(InputError, match="frames"):
        FrameStore(folder / "frames", sections)
    assert store_frames(SOURCE, sections, folder, folder / "frames").counts[2] == 91


def test_a_full_disk_leaves_no_half_written_speaker(corpus, monkeypatch):
    folder, sections = corpus

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "write_array_header", full)
    with pytest.raises(EarmarkError, match="No space left on device") as raised:
        store_frames(SOURCE, sections, folder, folder / "frames")
    assert not isinstance(raised.value, InputError)
    assert [file.name for file in (folder / "frames").iterdir()] == ["stamp.json"]


def test_frames_of_another_source_are_refused(corpus):
    folder, sections = corpus
    store_frames(SOURCE, sections, folder, folder / "frames")
    with pytest.raises(InputError, match="fingerprint"):
        store_frames(LogMelFrameSettings(n_mels=9).build_source(), sections, folder, folder / "frames")
    with pytest.raises(InputError, match="context_s"):
        store_frames(SOURCE, sections, folder, folder / "frames", ContextSettings(context_s=1))


def test_a_store_of_an_earlier_version_is_used(corpus):
    folder, sections = corpus
    store_frames(SOURCE, sections, folder, folder / "frames")
    stamp = json.loads((folder / "frames" / "stamp.json").read_text())
    # An earlier version wrote these keys, and the path of a model as it was then.
    assert {*stamp} == {"format", "source", "fingerprint", "width", "hop_s", "hearing"}
    assert stamp["fingerprint"] == "a9b1f2505aed2007"
    (folder / "frames" / "stamp.json").write_text(json.dumps({**stamp, "source": "elsewhere"}))
    assert store_frames(SOURCE, sections, folder, folder / "frames").counts.tolist() == [63, 51, 91, 95, 0]


def test_a_section_without_stored_frames_is_named(corpus):
    folder, sections = corpus
    store_frames(SOURCE, sections, folder, folder / "frames")
    with pytest.raises(InputError, match=r"wavs/b\.wav from 0\.25 to 1\.75 s"):
        FrameStore(folder / "frames", [Span("wavs/b.wav", "eve", 0.25, 1.75)])
    with pytest.raises(InputError, match="stamp"):
        FrameStore(folder / "nowhere", sections)


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
    assert np.isfinite(all_frames(store, 0)).all()


def test_the_files_are_plain_numpy_arrays_of_16_bits(corpus):
    folder, sections = corpus
    store = store_frames(SOURCE, sections, folder, folder / "frames")
    total = 0
    for file in (folder / "frames").glob("*.npy"):
        rows = np.load(file, allow_pickle=False)
        assert rows.dtype == np.float16
        total += len(rows)
    assert total == store.counts.sum()
