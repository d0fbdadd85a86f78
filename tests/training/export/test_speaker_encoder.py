import json

import numpy as np
import pytest
import torch

from earmark.core.errors import EarmarkError, InputError
from earmark.models.speaker_encoder import load_speaker_encoder
from earmark.training.export.onnx_graph import TOLERANCE
from earmark.training.export.speaker_calibration import speaker_calibration
from earmark.training.export.speaker_encoder import (
    ConvolutionalSpectrogram,
    check_speaker_parity,
    export_speaker,
    load_speaker_model,
)
from earmark.training.nn.encoders import StreamSettings
from earmark.training.nn.frontends.spectrogram import Spectrogram
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from earmark.training.words.recipe import parse_recipe

ENCODERS = {
    "sphere": {
        "kind": "sphere",
        "length_s": 0.5,
        "dimension": 6,
        "widths": [4, 4, 4, 4],
        "units": [1, 1, 1, 1],
        "frontend": {"kind": "magnitude"},
    },
    "resnet_se": {"kind": "resnet_se", "length_s": 0.5, "dimension": 6, "frontend": {"kind": "log_mel"}},
    "res": {"kind": "res", "length_s": 0.5, "dimension": 6},
    "convmixer": {"kind": "convmixer", "length_s": 0.5, "dimension": 6},
    "bc_resnet": {"kind": "bc_resnet", "length_s": 0.5, "dimension": 6},
}


def table(encoder, classes="speaker"):
    return {
        "name": "voices",
        "data": {"folder": "d", "words": [{"manifest": "m.tsv"}], "classes": classes},
        "scenes": {"kind": "tiled_crop", "length_s": 0.5},
        "augment": {"kind": "one_of"},
        "encoder": encoder,
        "loss": {"kind": "am_softmax"},
    }


def saved(folder, encoder, classes="speaker"):
    torch.manual_seed(0)
    recipe = parse_recipe(table(encoder, classes), folder, "recipe")
    assert not isinstance(recipe.encoder, StreamSettings)
    model = recipe.encoder.build()
    with torch.no_grad():
        model.train()(torch.randn(4, recipe.encoder.samples) * 0.1)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    path = folder / "best.safetensors"
    save_checkpoint(path, Checkpoint(json.loads(recipe.model_dump_json()), 40, {"eer": 0.125}, tensors, ("a", "b")))
    return path


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_exported_graph_computes_what_the_checkpoint_does(kind, tmp_path):
    checkpoint = saved(tmp_path, ENCODERS[kind])
    encoder = export_speaker(checkpoint, tmp_path / "models" / "voices.onnx")
    assert (encoder.name, encoder.dimension, encoder.samples) == ("voices", 6, 8000)
    model = load_speaker_model(load_checkpoint(checkpoint))
    assert check_speaker_parity(model, encoder) <= TOLERANCE
    wave = (0.1 * np.random.default_rng(3).standard_normal(20_000)).astype(np.float32)
    with torch.inference_mode():
        rows = model(torch.from_numpy(np.stack([wave[:8000], wave[6000:14_000], wave[12_000:]]))).numpy()
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(encoder.embed(wave), mean / np.linalg.norm(mean), atol=1e-4)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["voices.onnx"]


def test_the_model_card_names_the_training_and_holds_no_local_folder(tmp_path):
    encoder = export_speaker(saved(tmp_path, ENCODERS["res"]), tmp_path / "voices.onnx", card={"license": "MIT"})
    assert (encoder.card["step"], encoder.card["validation"], encoder.card["license"]) == (40, {"eer": 0.125}, "MIT")
    assert encoder.card["recipe"]["data"]["classes"] == "speaker"
    assert str(tmp_path).encode() not in (tmp_path / "voices.onnx").read_bytes()
    assert load_speaker_encoder(tmp_path / "voices.onnx").fingerprint == encoder.fingerprint


def test_a_graph_that_differs_from_the_checkpoint_is_not_written(tmp_path):
    with pytest.raises(EarmarkError, match=r"^voices: .* \(> 0\)"):
        export_speaker(saved(tmp_path, ENCODERS["res"]), tmp_path / "voices.onnx", tolerance=0.0)
    assert not list(tmp_path.glob("*.onnx"))


def test_an_encoder_of_words_is_refused_with_the_cure(tmp_path):
    with pytest.raises(InputError, match=r"data\.classes"):
        export_speaker(saved(tmp_path, ENCODERS["res"], "label"), tmp_path / "voices.onnx")


@pytest.mark.parametrize(
    ("centered", "padding", "window"), [(True, "reflect", 400), (True, "zeros", 401), (False, "reflect", 512)]
)
def test_the_convolution_is_the_spectrogram(centered, padding, window):
    plain = Spectrogram(torch.hamming_window(window), 160, 512, centered=centered, padding=padding)
    waves = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ConvolutionalSpectrogram(plain)(waves), plain(waves), rtol=1e-4, atol=1e-3)


def units(generator, speakers, clips, spread):
    rows = np.repeat(generator.standard_normal((speakers, 16)), clips, axis=0)
    rows += spread * generator.standard_normal(rows.shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), np.repeat(np.arange(speakers), clips)


def test_thresholds_let_the_wanted_share_of_others_through():
    generator = np.random.default_rng(0)
    rows, names = units(generator, 30, 12, 0.8)
    calibration = speaker_calibration([(rows, names)])
    assert calibration.details["speakers"] == 30
    assert sorted(calibration.thresholds, reverse=True) == [*calibration.thresholds]
    assert sorted(calibration.miss_rates, reverse=True) == [*calibration.miss_rates]
    passed = []
    for name in range(30):
        prototype = rows[names == name][:5].mean(axis=0)
        passed.append(
            (rows[names != name] @ (prototype / np.linalg.norm(prototype)) >= calibration.thresholds[3]).mean()
        )
    assert np.mean(passed) == pytest.approx(0.1, abs=0.03)


def test_each_group_has_the_same_weight():
    generator = np.random.default_rng(0)
    near, far = units(generator, 5, 10, 0.3), units(generator, 40, 10, 2.0)
    both, alone = speaker_calibration([near, far]), speaker_calibration([far])
    assert both.miss_rates[1] < 0.7 * alone.miss_rates[1]
    few = (np.concatenate([near[0], near[0][:3]]), np.concatenate([near[1], [99] * 3]))
    assert speaker_calibration([few], fewest=4).details["speakers"] == 5


def test_one_speaker_is_not_enough_for_a_calibration():
    with pytest.raises(InputError, match="two speakers"):
        speaker_calibration([(np.eye(4), np.zeros(4))])
