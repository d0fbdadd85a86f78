import numpy as np
import pytest
import torch

from earmark.evaluation.embedders import EncoderEmbedder
from earmark.training.batches.center_crop import CenterCrops, CenterCropSettings
from earmark.training.export.checkpoint_embedder import load_embedder
from earmark.training.loop import train
from earmark.training.nn.encoders import ResSettings
from earmark.training.run.checkpoint import load_checkpoint, strip_prefix
from earmark.training.words.recipe import parse_recipe
from tests.training.run.test_initialization import CLIPS


@pytest.fixture
def checkpoint(table, tmp_path):
    train(parse_recipe(table | CLIPS, tmp_path, "recipe"), tmp_path / "run", device="cpu")
    return tmp_path / "run" / "last.safetensors"


def test_a_checkpoint_embeds_waves_as_training_does(checkpoint, bank_of, tone):
    waves = [tone(300, 0.3), tone(500, 0.9), np.zeros(16_000, np.float32)]
    embedder = load_embedder(checkpoint)
    model = ResSettings(**CLIPS["encoder"]).build().eval()
    model.load_state_dict(strip_prefix(load_checkpoint(checkpoint).tensors, "model."))
    clips = CenterCrops(bank_of(waves[:2]), CenterCropSettings(), torch.device("cpu"), [])
    with torch.inference_mode():
        expected = model(clips.draw(clips.plan(torch.arange(2), torch.Generator()))).numpy()
    found = embedder.embed_batch(waves)
    assert found.shape == (3, 6)
    assert found[:2] == pytest.approx(expected, abs=1e-3)  # the bank holds 16 bits
    assert embedder.embed_batch([]).shape == (0, 6)


def test_a_loss_with_class_weights_gives_a_classifier(checkpoint):
    embedder = load_embedder(checkpoint)
    assert embedder.classes == ("bow", "dip", "fall", "rise")
    logits = embedder.classify(np.zeros((5, 6), np.float32))
    assert logits is not None
    assert logits.shape == (5, 4)
    assert embedder.name == "little"


def test_a_loss_without_class_weights_gives_no_classifier(table, tmp_path):
    recipe = parse_recipe(table | CLIPS | {"loss": {"kind": "ge2e"}}, tmp_path, "recipe")
    train(recipe, tmp_path / "run", device="cpu")
    embedder = load_embedder(tmp_path / "run" / "last.safetensors")
    assert embedder.classes == ()
    assert embedder.classify(np.zeros((5, 6), np.float32)) is None


def test_an_encoder_of_streams_embeds_as_its_export(recipe, tmp_path, tone):
    train(recipe, tmp_path / "run", device="cpu")
    embedder = load_embedder(tmp_path / "run" / "last.safetensors")
    assert isinstance(embedder, EncoderEmbedder)
    rows = embedder.embed_batch([tone(300, 0.5), tone(900, 0.5)])
    assert rows.shape == (2, 8)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
