import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from earmark.core.errors import InputError
from earmark.training.sequences.frames import Wav2Vec2FrameSettings

transformers = pytest.importorskip("transformers")


def source_of(folder, layer=2):
    return Wav2Vec2FrameSettings(model=str(folder), layer=layer).build_source()


@pytest.fixture
def wave():
    return np.float32(0.05 * np.random.default_rng(0).standard_normal(7000) + 0.01)


# As Base has it, and as Large (LV-60) has it.
@pytest.mark.parametrize("large", [{}, {"feat_extract_norm": "layer", "do_stable_layer_norm": True}])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_frames_are_the_hidden_states_of_the_whole_network(make_wav2vec2, wave, large, layer):
    folder = make_wav2vec2(**large)
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    model = transformers.Wav2Vec2Model.from_pretrained(folder).eval()
    with torch.no_grad():
        given = extractor(wave, sampling_rate=16_000, return_tensors="pt").input_values
        states = model(given, output_hidden_states=True).hidden_states
    assert len(states) == 4
    frames = source_of(folder, layer).frames(wave)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, states[layer][0].numpy(), atol=1e-5)


def test_the_last_layer_can_be_tapped(wav2vec2, wave):
    model = transformers.Wav2Vec2Model.from_pretrained(wav2vec2).eval()
    normal = torch.tensor((wave - wave.mean()) / wave.std())[None]
    with torch.no_grad():
        expected = model(normal).last_hidden_state[0].numpy()
    np.testing.assert_allclose(source_of(wav2vec2, 3).frames(wave), expected, atol=1e-3)


def test_frames_depend_on_loudness_only_without_normalization(make_wav2vec2, wave):
    for normalizes in (True, False):
        source = source_of(make_wav2vec2(do_normalize=normalizes, feat_extract_norm="layer"))
        is_same = np.allclose(source.frames(wave), source.frames(3 * wave), atol=1e-3)
        assert is_same == normalizes


@pytest.mark.parametrize(("size", "count"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49)])
def test_a_frame_sees_25_ms_every_20_ms(wav2vec2, size, count):
    source = source_of(wav2vec2)
    assert source.frames(np.ones(size, np.float32)).shape == (count, 16)
    assert (source.width, source.hop, source.first_s) == (16, 320, 0.0125)


def test_the_fingerprint_depends_on_weights_and_layer_and_not_on_the_path(wav2vec2, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(wav2vec2, copy)
    assert source_of(copy).fingerprint == source_of(wav2vec2).fingerprint
    assert source_of(copy, 1).fingerprint != source_of(wav2vec2).fingerprint


def test_loading_prints_nothing(wav2vec2, capfd):
    source_of(wav2vec2)
    assert capfd.readouterr() == ("", "")


def refusal(model, layer=2):
    with pytest.raises(InputError) as raised:
        source_of(model, layer)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_a_folder_that_is_missing_is_named(tmp_path):
    assert refusal(tmp_path / "nowhere").startswith(f"{tmp_path / 'nowhere'}: no such folder")
    assert refusal("./nowhere").startswith("./nowhere: no such folder")


def test_a_model_that_cannot_be_downloaded_has_a_cure(monkeypatch):
    def offline(*_, **__):
        raise OSError(
            "We couldn't connect to the hub to load the files.\nCheck your connection. See the guide\n\n at …"
        )

    monkeypatch.setattr(transformers.Wav2Vec2Config, "get_config_dict", offline)
    message = refusal("someone/somewhat")
    assert message.startswith("someone/somewhat: ")
    assert "name its folder" in message


def test_an_error_about_missing_weights_names_the_files(wav2vec2, tmp_path):
    for file in ("config.json", "preprocessor_config.json"):
        shutil.copy(wav2vec2 / file, tmp_path)
    assert "model.safetensors" in refusal(tmp_path)
    model = transformers.Wav2Vec2Model.from_pretrained(wav2vec2)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")  # weights that would have to be unpickled
    assert "model.safetensors" in refusal(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 3000])
def test_damaged_weights_are_refused(wav2vec2, tmp_path, size):
    folder = tmp_path / "damaged"
    shutil.copytree(wav2vec2, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    assert refusal(folder).startswith(f"{folder}: ")


def test_another_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert "bert" in refusal(tmp_path)


def test_a_layer_beyond_the_last_is_refused(wav2vec2):
    assert "3 layers" in refusal(wav2vec2, 4)


def test_a_model_of_another_rate_is_refused(make_wav2vec2):
    assert "8000 Hz" in refusal(make_wav2vec2(sampling_rate=8000))


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="layers"):
        Wav2Vec2FrameSettings(layers=8)  # type: ignore[call-arg]
