from pathlib import Path

import numpy as np
import pytest
import torch

from earmark import audio
from earmark.core.errors import InputError
from earmark.evaluation.embedders import Embedder
from earmark.evaluation.segment_embeddings import SelfSegmenting, segment_embedder
from earmark.spotting.speech import find_speech
from earmark.training.export.checkpoint_embedder import load_embedder
from earmark.training.recipe import check_any_recipe
from earmark.training.run.checkpoint import Checkpoint, save_checkpoint
from earmark.training.sequences.lists import read_segment_list
from earmark.training.sequences.networks import build_network, embed_cuts
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.segment_frames import SegmentFrames


@pytest.fixture
def checkpoint(table, tmp_path):
    """A checkpoint of an untrained network."""
    recipe = check_any_recipe(table, "recipe")
    assert isinstance(recipe, SequenceRecipe)
    torch.manual_seed(0)
    network = build_network(recipe.encoder, 12)
    tensors = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, Checkpoint(recipe.model_dump(mode="json"), 0, {}, tensors))
    return path, recipe, network.eval()


def test_segments_of_a_file_are_embedded_as_in_training(checkpoint, speech, tmp_path):
    path, recipe, network = checkpoint
    embedder = load_embedder(path)
    assert isinstance(embedder, SelfSegmenting)
    listed = read_segment_list(speech / "labeled.txt", speech)
    frames = SegmentFrames(listed, None, recipe.frames.build_source(), tmp_path / "stored", recipe.context)
    with torch.inference_mode():
        wanted = embed_cuts(network, frames.cuts(range(24)), torch.device("cpu")).numpy()
    for name in {clip.path for clip in listed.clips}:
        rows = [row for row, clip in enumerate(listed.clips) if clip.path == name][::-1]
        spans = [(listed.clips[row].start_s, listed.clips[row].end_s) for row in rows]
        # The store rounds to 16 bits.
        np.testing.assert_allclose(embedder.embed_file(speech / name, spans), wanted[rows], atol=0.01)


def test_it_is_an_embedder_of_evaluation_and_mining(checkpoint):
    path, recipe, _ = checkpoint
    embedder = load_embedder(path)
    assert isinstance(embedder, SelfSegmenting)
    assert embedder.name == recipe.name
    assert embedder.classes == ()
    embedding = embedder.embed_batch([np.zeros(16_000, np.float32)])
    assert embedding.shape == (1, 16)
    assert embedder.classify(embedding) is None
    assert {name for name in vars(Embedder) if not name.startswith("_")} <= {*dir(embedder)}


def test_a_recording_is_read_once_for_all_of_its_segments(checkpoint, speech, monkeypatch):
    embedder = load_embedder(checkpoint[0])
    assert isinstance(embedder, SelfSegmenting)
    reads: list[Path] = []
    read = audio.read

    def counted(path):
        reads.append(path)
        return read(path)

    monkeypatch.setattr(audio, "read", counted)
    found = embedder.embed_file(speech / "anna_0.wav", [(0.3, 0.8), (1.1, 1.6), (0.3, 0.8), (2.0, None)])
    assert len(reads) == 1
    np.testing.assert_array_equal(found[0], found[2])


def test_an_embedding_does_not_depend_on_longer_waves_in_its_batch(checkpoint, speech):
    embedder = load_embedder(checkpoint[0])
    wave = audio.read(speech / "bert_1.wav")
    waves = [wave[:4000], wave, wave[5000:20_000], wave[:1000]]
    together = embedder.embed_batch(waves)
    for row, one in enumerate(waves):
        np.testing.assert_allclose(embedder.embed_batch([one])[0], together[row], atol=1e-5)
    assert embedder.embed_batch([]).shape == (0, 16)


@pytest.mark.parametrize("span", [(3.0, 9.0), (9.0, 9.5), (0.5, 0.51)])
def test_a_span_outside_the_recording_or_too_short_is_refused(checkpoint, speech, span):
    embedder = load_embedder(checkpoint[0])
    assert isinstance(embedder, SelfSegmenting)
    with pytest.raises(InputError, match=r"anna_0\.wav"):
        embedder.embed_file(speech / "anna_0.wav", [span])


def test_a_wave_shorter_than_a_frame_is_refused(checkpoint):
    with pytest.raises(InputError, match="frame"):
        load_embedder(checkpoint[0]).embed_batch([np.zeros(16_000, np.float32), np.zeros(100, np.float32)])


def test_crops_are_refused(checkpoint):
    with pytest.raises(InputError, match="crops"):
        load_embedder(checkpoint[0], crops=3)


def test_a_whole_recording_is_cut_to_its_spoken_part_unless_all_of_it_is_wanted(checkpoint, tmp_path):
    embedder = load_embedder(checkpoint[0])
    generator = np.random.default_rng(0)
    wave = (0.0005 * generator.standard_normal(32_000)).astype(np.float32)
    wave[12_000:20_000] += (0.2 * np.sin(np.arange(8_000) * 0.3)).astype(np.float32)
    audio.write(tmp_path / "one.wav", wave)
    part = find_speech(audio.read(tmp_path / "one.wav"))
    assert part is not None
    spoken, whole = (segment_embedder(embedder, spoken=is_spoken) for is_spoken in (True, False))
    assert spoken.fingerprint != whole.fingerprint
    rows = [encoder.embed_file(tmp_path / "one.wav", [(0, None)]) for encoder in (spoken, whole)]
    np.testing.assert_array_equal(rows[0], whole.embed_file(tmp_path / "one.wav", [part]))
    assert not np.array_equal(rows[0], rows[1])
