import os
import time

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.core import audio
from earmark.core.errors import EarmarkError
from earmark.spotting.clips import ClipRecorder, ClipSettings, file_stem, prune_clips, remove_clips
from earmark.spotting.detector import Detection


def detection(start_s, end_s, keyword="rise", score=0.87):
    return Detection(keyword, start_s, end_s, score, 0.9)


@pytest.fixture
def stream():
    return (0.1 * np.random.default_rng(0).standard_normal(60 * 16_000)).astype(np.float32)


def pushed(recorder, wave, block=16_000):
    for start in range(0, len(wave), block):
        recorder.push(wave[start : start + block])


@pytest.mark.parametrize("block", [160, 16_000, 100_000])
def test_a_clip_has_the_audio_around_a_detection(tmp_path, stream, block):
    recorder = ClipRecorder(tmp_path / "clips")
    pushed(recorder, stream[: 41 * 16_000], block)
    clip = recorder.keep(detection(40.0, 40.7))
    assert (clip.start_s, clip.end_s) == pytest.approx((1.5, 2.2))
    wave = audio.read(clip.path)
    # Only 0.3 s came after the word yet.
    np.testing.assert_allclose(wave, stream[round(38.5 * 16_000) : 41 * 16_000], atol=1e-4)


def test_a_clip_at_the_beginning_has_less_context_and_a_new_stream_begins_at_0(tmp_path, stream):
    recorder = ClipRecorder(tmp_path)
    pushed(recorder, stream)
    recorder.begin()
    pushed(recorder, stream[: 5 * 16_000])
    clip = recorder.keep(detection(0.2, 0.8))
    assert (clip.start_s, clip.end_s) == pytest.approx((0.2, 0.8))
    np.testing.assert_allclose(audio.read(clip.path), stream[: round(1.55 * 16_000)], atol=1e-4)


def test_the_oldest_clips_are_deleted_by_number_size_and_age(tmp_path, stream):
    recorder = ClipRecorder(tmp_path, ClipSettings(most=3))
    pushed(recorder, stream[: 10 * 16_000])
    paths = []
    for number in range(5):
        paths.append(recorder.keep(detection(5.0, 5.6)).path)
        os.utime(paths[-1], (time.time() - 100 + number,) * 2)
    assert sorted(path for path in paths if path.exists()) == sorted(paths[2:])
    size = paths[4].stat().st_size
    prune_clips(tmp_path, ClipSettings(megabytes=2.5 * size / 1e6))
    assert sorted(tmp_path.iterdir()) == sorted(paths[3:])
    os.utime(paths[3], (time.time() - 3 * 86_400,) * 2)
    prune_clips(tmp_path, ClipSettings(days=2))
    assert list(tmp_path.iterdir()) == [paths[4]]
    prune_clips(tmp_path, ClipSettings(megabytes=1e-6))  # the newest clip stays
    assert list(tmp_path.iterdir()) == [paths[4]]


def test_other_files_links_and_folders_stay(tmp_path, stream):
    recorder = ClipRecorder(tmp_path, ClipSettings(most=1))
    pushed(recorder, stream[: 10 * 16_000])
    first = recorder.keep(detection(5.0, 5.6)).path
    os.utime(first, (0, 0))
    mine = [tmp_path / "holiday.wav", tmp_path / "rise-0.wav"]
    for path in mine:
        path.write_bytes(b"mine")
    target = tmp_path / "elsewhere.bin"
    target.write_bytes(b"mine")
    (tmp_path / first.name.replace("rise", "link")).symlink_to(target)
    (tmp_path / first.name.replace("rise", "folder")).mkdir()
    recorder.keep(detection(5.0, 5.6))
    assert not first.exists()
    assert len(list(tmp_path.iterdir())) == 6


def test_the_clips_of_one_keyword_are_removed(tmp_path, stream):
    recorder = ClipRecorder(tmp_path)
    pushed(recorder, stream[: 10 * 16_000])
    for keyword in ("Rise", "rise/../up", "rise"):
        recorder.keep(detection(5.0, 5.6, keyword))
    assert len(list(tmp_path.iterdir())) == 3
    assert (remove_clips(tmp_path, "RISE"), remove_clips(tmp_path, "RISE")) == (2, 0)
    assert len(list(tmp_path.iterdir())) == 1
    assert remove_clips(tmp_path / "absent", "rise") == 0


@pytest.mark.parametrize("name", ["..", "/etc/passwd", "小爱同学", "a" * 64, "con\u200dcat", "?"])
def test_a_name_of_any_kind_becomes_part_of_a_file_name(tmp_path, stream, name):
    recorder = ClipRecorder(tmp_path)
    pushed(recorder, stream[: 3 * 16_000])
    path = recorder.keep(detection(1.0, 1.6, name, score=-0.1)).path
    assert path.parent == tmp_path
    assert "/" not in file_stem(name)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, stream):
    (tmp_path / "clips").write_text("a file")
    recorder = ClipRecorder(tmp_path / "clips")
    pushed(recorder, stream[: 3 * 16_000])
    with pytest.raises(EarmarkError, match="clips"):
        recorder.keep(detection(1.0, 1.6))


@pytest.mark.parametrize("wrong", [{"context_s": 0.5}, {"most": 0}, {"days": 0}, {"megabytes": -1}, {"number": 1}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValidationError):
        ClipSettings(**wrong)
