import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper, parser

from earmark.core.audio import AudioError
from earmark.core.errors import EarmarkError
from earmark.models.encoder import load_encoder
from earmark.models.onnx_model import FORMAT, METADATA_KEY
from earmark.models.speaker_encoder import EncoderError, load_speaker_encoder

ROOT = Path(__file__).parents[2]
MEAN_AND_END = """
<ir_version: 9, opset_import: ["" : 18]>
clips (float[1, 1600] wave) => (float[1, 2] embedding) {
    axis = Constant <value = int64[1] {1}> ()
    mean = ReduceMean <keepdims = 1> (wave, axis)
    last = Constant <value = int64[1] {1599}> ()
    end = Gather <axis = 1> (wave, last)
    embedding = Concat <axis = 1> (mean, end)
}
"""


@pytest.fixture(scope="module")
def shipped():
    return load_speaker_encoder()


@pytest.fixture
def clips_file(tmp_path):
    """A speaker encoder of 0.1 s clips: their mean and their last sample."""
    model = parser.parse_model(MEAN_AND_END)
    description = {
        "format": FORMAT,
        "kind": "speaker",
        "name": "clips",
        "sample_rate": 16_000,
        "samples": 1600,
        "dimension": 2,
        "card": {},
    }
    return saved(model, description, tmp_path / "clips.onnx")


def saved(model, description, path):
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(description))
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def recipe():
    script = ROOT / "recipes" / "models" / "make_speaker_encoder.py"
    spec = importlib.util.spec_from_file_location("make_speaker_encoder", script)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sounds(recipe):
    return recipe.golden_sounds()


def test_the_shipped_graph_computes_what_torch_and_librosa_do(shipped, sounds):
    golden = np.load(ROOT / "tests" / "golden" / "speaker.npy", allow_pickle=False)
    units = shipped.embed_batch(sounds)
    assert units.shape == golden.shape == (6, shipped.dimension)
    # The weights are stored in half precision.
    np.testing.assert_allclose(units, golden, atol=1e-3)
    assert np.abs(golden @ golden.T - np.eye(6)).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-5)


def test_the_level_is_no_part_of_a_voice(shipped, sounds):
    for gain in (0.05, 3.0):
        np.testing.assert_allclose(shipped.embed(gain * sounds[3]), shipped.embed(sounds[3]), atol=1e-4)


@pytest.mark.parametrize("samples", [1, 7, 399, 25_599, 25_600, 25_601, 44_799, 44_800, 70_001])
def test_audio_of_any_length_is_embedded(shipped, sounds, samples):
    unit = shipped.embed(np.resize(sounds[5], samples))
    assert np.isfinite(unit).all()
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-5)


def test_short_audio_is_repeated(shipped, sounds):
    short = sounds[0]
    np.testing.assert_allclose(shipped.embed(short), shipped.embed(np.resize(short, 25_600)), atol=1e-5)


def test_minutes_are_embedded_piece_by_piece(shipped, sounds):
    wave = np.concatenate([sounds[5], sounds[4]])  # 7.8 s: four pieces
    pieces = shipped.embed_batch(np.array_split(wave, 4))
    mean = pieces.mean(axis=0)
    np.testing.assert_allclose(shipped.embed(wave, piece_s=2.0), mean / np.linalg.norm(mean), atol=1e-5)


def test_silence_has_an_embedding_too(shipped):
    assert np.isfinite(shipped.embed(np.zeros(16_000))).all()


def test_the_card_has_training_data_and_calibration(shipped):
    assert shipped.card["license"] == "Apache-2.0"
    assert "VoxCeleb2" in shipped.card["trained_on"]
    thresholds = shipped.calibration.thresholds
    assert sorted(thresholds, reverse=True) == [*thresholds]
    assert shipped.calibration.impostors is not None
    assert (shipped.name, shipped.sample_rate, shipped.samples) == ("speaker", 16_000, None)
    assert "speaker" in repr(shipped)


def test_no_wave_is_refused(shipped):
    with pytest.raises(AudioError, match="empty"):
        shipped.embed([])
    for wave in (np.zeros((2, 100)), np.full(1000, np.nan)):
        with pytest.raises(AudioError):
            shipped.embed(wave)
    assert shipped.embed_batch([]).shape == (0, shipped.dimension)


def test_clips_of_one_length_are_averaged_over_evenly_spaced_stretches(clips_file):
    encoder = load_speaker_encoder(clips_file)
    wave = np.linspace(0.1, 0.5, 4000, dtype=np.float32) ** 2
    rows = np.array([[part.mean(), part[-1]] for part in (wave[:1600], wave[1200:2800], wave[2400:])])
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(encoder.embed(wave), mean / np.linalg.norm(mean), atol=1e-6)
    short = np.array([0.5, -0.25, 0.125], np.float32)
    np.testing.assert_allclose(encoder.embed(short), encoder.embed(np.resize(short, 1600)), atol=1e-6)


def test_each_loader_refuses_the_others_file_with_the_cure(clips_file):
    with pytest.raises(EncoderError, match=r"clips\.onnx: a speaker encoder"):
        load_encoder(clips_file)
    shipped = Path(str(importlib.util.find_spec("earmark").origin)).parent / "models" / "base.onnx"
    with pytest.raises(EncoderError, match=r"base\.onnx: an encoder of words"):
        load_speaker_encoder(shipped)


def test_other_files_are_refused_in_one_line(tmp_path, clips_file):
    with pytest.raises(EncoderError, match="no such encoder"):
        load_speaker_encoder(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no network\n" * 50)
    with pytest.raises(EncoderError, match=r"text\.onnx: not an ONNX file that runs here"):
        load_speaker_encoder(tmp_path / "text.onnx")
    model = onnx.load(str(clips_file))
    del model.metadata_props[:]
    saved(model, {"format": FORMAT, "kind": "speaker", "name": "x"}, tmp_path / "damaged.onnx")
    with pytest.raises(EncoderError, match=r"damaged\.onnx: the model description in the file is damaged \(KeyError"):
        load_speaker_encoder(tmp_path / "damaged.onnx")
    del model.metadata_props[:]
    saved(model, {"format": 99, "kind": "speaker"}, tmp_path / "new.onnx")
    with pytest.raises(EarmarkError, match="made for a newer earmark"):
        load_speaker_encoder(tmp_path / "new.onnx")


def test_the_shipped_file_is_small_and_stores_its_weights_in_half_precision():
    path = ROOT / "src" / "earmark" / "models" / "speaker.onnx"
    assert path.stat().st_size < 3_000_000
    large = [tensor for tensor in onnx.load(str(path)).graph.initializer if numpy_helper.to_array(tensor).size > 10_000]
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}


@pytest.fixture
def checkpoint(recipe):
    """Of the network that the recipe converts: the LSTM's weights are parts of one storage, as on a GPU."""
    lstm = {name: shape for name, shape in recipe.SHAPES.items() if name.startswith("lstm.")}
    values = torch.randn(sum(map(math.prod, lstm.values())) + 1)
    pieces = torch.split(values[1:], list(map(math.prod, lstm.values())))
    state = {name: piece.view(shape) for (name, shape), piece in zip(lstm.items(), pieces, strict=True)}
    state |= {f"linear.{name}": torch.randn(recipe.SHAPES[f"linear.{name}"]) for name in ("weight", "bias")}
    return {"step": 3, "model_state": state, "optimizer_state": {"state": {7: {"step": 3, "exp_avg": torch.ones(2)}}}}


def test_the_recipe_reads_the_tensors_of_an_old_checkpoint(recipe, checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    weights = recipe.read_weights(tmp_path / "old.pt")
    assert weights.keys() == recipe.SHAPES.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, checkpoint["model_state"][name].numpy())


@pytest.mark.parametrize("wrong", ["zip", "cut off", "text", "transposed", "smaller"])
def test_the_recipe_refuses_a_checkpoint_of_another_layout(recipe, checkpoint, tmp_path, wrong):
    path = tmp_path / "other.pt"
    if wrong == "transposed":
        checkpoint["model_state"]["linear.weight"] = checkpoint["model_state"]["linear.weight"].T
    if wrong == "smaller":
        checkpoint["model_state"]["linear.bias"] = torch.ones(3)
    torch.save(checkpoint, path, _use_new_zipfile_serialization=wrong == "zip")
    if wrong == "cut off":
        path.write_bytes(path.read_bytes()[:-1000])
    if wrong == "text":
        path.write_text("no weights")
    with pytest.raises(SystemExit, match=r"other\.pt: not the weights of Resemblyzer"):
        recipe.read_weights(path)
