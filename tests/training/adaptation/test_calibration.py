import shutil
from dataclasses import replace

import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.models.encoder import load_encoder
from earmark.models.onnx_model import shipped_file
from earmark.training.adaptation.calibration import calibrate_like, match_thresholds


def test_thresholds_follow_scores_that_are_shifted_and_scaled():
    grid = np.linspace(0, 1, 501)
    before = np.round(1e4 * np.exp(-12 * grid))
    after = np.round(1e4 * np.exp(-12 * (grid - 0.1) / 0.8))
    wanted = [0.85, 0.6, 0.4]  # no score reaches the first
    assert match_thresholds(before, after, wanted) == pytest.approx([0.78, 0.58, 0.42], abs=0.02)


def test_an_unchanged_encoder_keeps_its_thresholds_although_a_recording_is_broken(talkers, tmp_path):
    encoder = tmp_path / "same.onnx"
    shutil.copyfile(shipped_file("base"), encoder)
    spans = [(f"{voice}_{take}.wav", place) for place in range(3) for voice in range(6) for take in range(2)]
    sides = [Clip(path, 1.5 * place + 0.35, 1.5 * place + 1.15, path[0]) for path, place in spans]
    clips = [
        replace(side, label=f"{first} {second}")
        for first, one in enumerate(sides)
        for second, other in enumerate(sides[first + 1 :])
        if spans[first][1] == spans[first + 1 + second][1] and one.speaker != other.speaker
        for side in (one, other)
    ]
    write_manifest(Manifest(tuple(clips), talkers.folder), tmp_path / "pairs.parquet")
    (tmp_path / "broken.wav").write_text("no audio")
    recordings = [tmp_path / "broken.wav", *(talkers.folder / clip.path for clip in talkers.clips[::2])]
    found = calibrate_like(encoder, shipped_file("base"), tmp_path / "pairs.parquet", recordings, keywords=8)
    assert found.thresholds == pytest.approx(load_encoder("base").calibration.thresholds, abs=0.01)
    assert load_encoder(encoder).calibration == found


def test_equal_counts_keep_their_thresholds():
    counts = np.repeat([200, 90, 40, 12, 7, 0], [100, 100, 100, 100, 60, 41]).astype(float)
    wanted = [0.95, 0.85, 0.7, 0.5]
    assert match_thresholds(counts, counts, wanted) == pytest.approx(wanted, abs=0.005)


def test_too_few_scores_are_refused():
    with pytest.raises(InputError):
        match_thresholds(np.zeros(501), np.zeros(501), [0.8, 0.5])
