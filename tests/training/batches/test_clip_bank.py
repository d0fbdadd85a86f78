import numpy as np
import pytest

from earmark import audio
from earmark.core.audio import AudioError
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest
from earmark.training.batches.clip_bank import ClipBank, pack


@pytest.fixture
def words(tmp_path, say):
    """Manifest of two files with one word each, a file with two words with times, and a silent file."""
    folder = tmp_path / "words"
    folder.mkdir()
    audio.write(folder / "rise.wav", say("rise", before_s=0.5, after_s=0.3))
    audio.write(folder / "fall.wav", say("fall", seed=1))
    audio.write(folder / "both.wav", np.concatenate([say("rise", seed=2), say("fall", seed=3)]))
    audio.write(folder / "hush.wav", np.zeros(16_000, np.float32))
    clips = (
        Clip("both.wav", 1.8, 2.4, "b", "fall"),
        Clip("rise.wav", speaker="a", label="rise"),
        Clip("both.wav", 0.4, 1.0, "b", "rise"),
        Clip("fall.wav", speaker="c"),
        Clip("hush.wav", speaker="c", label="rise"),
    )
    return Manifest(clips, folder)


def test_a_bank_that_was_packed_can_be_opened(words, tmp_path):
    bank = pack([words], tmp_path / "bank", workers=1)
    again = ClipBank.open(tmp_path / "bank")
    assert len(again) == len(bank) == 4
    assert again.labels == ("fall", "rise")
    assert again.speakers == ("a", "b", "c")
    for clip in range(4):
        assert np.array_equal(bank.wave(clip), again.wave(clip))
    assert {
        (again.labels[n] if n >= 0 else "", again.speakers[s]) for n, s in zip(again.label, again.speaker, strict=True)
    } == {
        ("fall", "b"),
        ("rise", "a"),
        ("rise", "b"),
        ("", "c"),
    }


def test_a_clip_with_times_is_cut_at_them_and_its_spoken_part_is_the_whole_clip(words, tmp_path):
    bank = pack([words], tmp_path / "bank", workers=1)
    whole = audio.read(words.folder / "both.wav")
    cut = [clip for clip in range(4) if bank.speakers[bank.speaker[clip]] == "b"]
    for clip, start_s in zip(cut, (0.4, 1.8), strict=True):
        start = round(start_s * 16_000)
        assert bank.spoken[clip].tolist() == [0, 9600]
        assert np.abs(bank.wave(clip) - whole[start : start + 9600]).max() < 1e-4


def test_the_spoken_part_of_a_whole_file_is_detected(words, tmp_path):
    bank = pack([words], tmp_path / "bank", workers=1)
    (clip,) = (clip for clip in range(4) if bank.speakers[bank.speaker[clip]] == "a")
    assert bank.spoken[clip] / 16_000 == pytest.approx([0.5, 1.1], abs=0.08)
    first, last = bank.spoken[clip]
    level = np.sqrt(np.mean(np.square(bank.wave(clip)[first:last]))) * 32_767
    assert bank.level[clip] == pytest.approx(level, abs=1)


def test_processes_decode_the_same_bank(words, tmp_path):
    one = pack([words], tmp_path / "one", workers=1)
    two = pack([words], tmp_path / "two", workers=2)
    assert np.array_equal(one.samples, two.samples)
    assert np.array_equal(one.spoken, two.spoken)


def test_an_interrupted_packing_keeps_the_previous_bank(words, tmp_path):
    folder = tmp_path / "bank"
    with pytest.raises(InputError, match="no clip bank"):
        ClipBank.open(folder)
    (words.folder / "hush.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"hush\.wav"):
        pack([words], folder, workers=1)
    assert not folder.exists()
    audio.write(words.folder / "hush.wav", np.zeros(16_000, np.float32))
    before = pack([words], folder, workers=1)
    (words.folder / "rise.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"rise\.wav"):
        pack([words], folder, workers=1)
    assert np.array_equal(ClipBank.open(folder).samples, before.samples)


def test_a_bank_without_speech_is_refused(words, tmp_path):
    silent = Manifest((words.clips[-1],), words.folder)
    with pytest.raises(InputError, match=r"^bank: "):
        pack([silent], tmp_path / "bank", workers=1)
    assert not (tmp_path / "bank").exists()


def test_writing_into_the_samples_does_not_change_the_file(words, tmp_path):
    bank = pack([words], tmp_path / "bank", workers=1)
    bank.samples[:] = 0
    assert ClipBank.open(tmp_path / "bank").samples.any()
