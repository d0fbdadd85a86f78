import numpy as np
import pytest

from earmark import audio
from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import EarmarkError, InputError
from earmark.data.lists.segments import read_clips
from earmark.data.manifest import Clip, Manifest
from earmark.training.adaptation.dataset import prepare


def test_whole_speakers_are_held_out_and_segments_contain_no_pauses(talkers, tmp_path):
    dataset = prepare(talkers, tmp_path, share=0.3, seed=0)
    assert dataset.held_out is not None
    parts = [list(read_clips(part.segments, part.audio)[0]) for part in (dataset.training, dataset.held_out)]
    training, held_out = ({clip.speaker for clip in clips} for clips in parts)
    assert (dataset.unit, len(held_out), len(training), dataset.units) == ("speakers", 2, 4, 6)
    assert not training & held_out
    assert [len(clips) for clips in parts] == [dataset.training.count, dataset.held_out.count]
    waves = {clip.path: audio.read(talkers.folder / clip.path) for clips in parts for clip in clips}
    edges = [waves[clip.path][round(clip.start_s * SAMPLE_RATE) :][:800] for clip in parts[0]]
    assert min(np.abs(edge).max() for edge in edges) > 0.02


def test_recordings_are_held_out_where_speakers_are_unknown(talkers, tmp_path):
    unknown = Manifest(tuple(Clip(clip.path) for clip in talkers), talkers.folder)
    dataset = prepare(unknown, tmp_path, share=0.25, seed=0)
    assert dataset.held_out is not None
    assert (dataset.unit, dataset.held_out.units, dataset.training.units) == ("recordings", 3, 9)


def test_recordings_with_spaces_in_their_names_get_manifests(talkers, tmp_path):
    for clip in talkers:
        audio.write(tmp_path / f"a {clip.path}", audio.read(talkers.folder / clip.path))
    spaced = Manifest(tuple(Clip(f"a {clip.path}") for clip in talkers), tmp_path)
    dataset = prepare(spaced, tmp_path / "out", share=0.25, seed=0)
    assert dataset.training.segments.suffix == ".parquet"
    clips, recordings = read_clips(dataset.training.segments)
    assert all(recordings.locate(clip.path).is_file() for clip in clips)


def test_recordings_with_validation_segments_are_not_in_the_training_part(talkers, tmp_path):
    labeled = talkers.folder / "3_1.wav"
    dataset = prepare(talkers, tmp_path, share=0.3, seed=0, without=frozenset({labeled.resolve()}), has_labels=True)
    assert dataset.held_out is None
    assert "3_1.wav" not in {clip.path for clip in read_clips(dataset.training.segments, talkers.folder)[0]}


def test_validation_segments_of_every_recording_are_refused(talkers, tmp_path):
    recordings = frozenset(talkers.locate(clip).resolve() for clip in talkers)
    with pytest.raises(InputError) as refused:
        prepare(talkers, tmp_path, share=0.3, seed=0, without=recordings, has_labels=True)
    assert refused.value.key == "validation"


def test_too_few_recordings_are_refused(talkers, tmp_path):
    few = Manifest(talkers.clips[:1], talkers.folder)
    with pytest.raises(InputError, match="4"):
        prepare(few, tmp_path, share=0.1, seed=0)


def test_recordings_without_speech_are_an_error(tmp_path):
    audio.write(tmp_path / "silent.wav", np.zeros(2 * SAMPLE_RATE, np.float32))
    silent = Manifest((Clip("silent.wav"),), tmp_path)
    with pytest.raises(EarmarkError, match=str(tmp_path)):
        prepare(silent, tmp_path / "out", share=0.1, seed=0)
