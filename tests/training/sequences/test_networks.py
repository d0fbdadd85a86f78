from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import InputError
from earmark.models.encoder import Encoder, load_encoder
from earmark.models.onnx_model import shipped_file
from earmark.training.nn.encoders import FrameEncoder, StreamSettings
from earmark.training.nn.encoders.segment import SegmentEncoder, SegmentSettings
from earmark.training.nn.pooling import sum_windows
from earmark.training.run.initialization import initialize_from
from earmark.training.sequences.frames import TowerFrameSettings
from earmark.training.sequences.networks import Cut, build_network, embed_cuts, project

CPU = torch.device("cpu")
SEGMENT = SegmentSettings(features=96, dimension=16, heads=2, feed_forward=24)
STREAM = StreamSettings(frames="published", hidden=24, dimension=12)


def network_of(settings):
    torch.manual_seed(0)
    network = build_network(settings, 96)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


@pytest.fixture(
    params=[SEGMENT, STREAM, STREAM.model_copy(update={"parts": 3, "context": 5})], ids=lambda one: one.kind
)
def network(request):
    return network_of(request.param)


@pytest.fixture
def cuts():
    frames = np.random.default_rng(0).standard_normal((60, 96)).astype(np.float32)
    return [Cut(frames, first, stop) for first, stop in ((3, 40), (0, 1), (58, 60), (10, 17), (0, 60))]


@torch.inference_mode()
def embedded(network, cuts):
    return embed_cuts(network, cuts, CPU).numpy()


def directions(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_an_embedding_does_not_depend_on_its_batch(network, cuts):
    together = embedded(network, cuts)
    alone = np.concatenate([embedded(network, [cut]) for cut in cuts])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_published_network_does_not_depend_on_frames_around_a_segment(cuts):
    network = network_of(SEGMENT)
    bare = [Cut(cut.frames[cut.first : cut.stop], 0, cut.stop - cut.first) for cut in cuts]
    np.testing.assert_array_equal(embedded(network, bare), embedded(network, cuts))
    frames = torch.from_numpy(cuts[3].frames[None, 10:17])
    with torch.inference_mode():
        wanted = network(frames, torch.tensor([7])).numpy()
    np.testing.assert_allclose(embedded(network, cuts[3:4]), wanted, atol=1e-5)


def test_a_stream_head_depends_on_the_frames_next_to_a_segment(cuts):
    network = network_of(STREAM)
    (cut,) = cuts[3:4]
    changed = cut.frames.copy()
    changed[17] += 1
    assert not np.allclose(embedded(network, [cut]), embedded(network, [Cut(changed, 10, 17)]), atol=1e-3)
    changed[17] -= 1
    changed[[8, 18]] += 1  # beyond the context of the segment
    np.testing.assert_allclose(embedded(network, [cut]), embedded(network, [Cut(changed, 10, 17)]), atol=1e-5)


def test_the_first_and_last_frames_of_a_section_are_repeated_beyond_its_ends(cuts):
    network = network_of(STREAM)
    frames = cuts[0].frames
    longer = np.concatenate([frames[:1], frames, frames[-1:]])
    np.testing.assert_allclose(
        embedded(network, [Cut(frames, 0, 60)]), embedded(network, [Cut(longer, 1, 61)]), atol=1e-4
    )


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_parts_of_a_segment_are_those_of_the_runtime(parts):
    settings = STREAM.model_copy(update={"parts": parts, "dimension": 30})
    network = network_of(settings)
    frames = np.random.default_rng(1).standard_normal((40, 96)).astype(np.float32)
    with torch.inference_mode():
        vectors = network.head(torch.from_numpy(frames)[None])[0].numpy()  # the first is of frame 1
    shipped: Any = SimpleNamespace(parts=parts)
    for length in range(1, 13):
        wanted = Encoder.embed_windows(shipped, vectors, [20 - 1 + length], length)
        found = directions(embedded(network, [Cut(frames, 20, 20 + length)]))
        np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=f"{length} frames")


@pytest.fixture(scope="module")
def base():
    """The shipped encoder, and a network initialized from it."""
    encoder = load_encoder("base")
    torch.manual_seed(0)
    network = FrameEncoder(StreamSettings(**encoder.card["recipe"]["encoder"]))
    initialize_from(shipped_file("base"), network, torch.nn.Module(), "nt_xent", ())
    return encoder, network.eval()


@pytest.fixture(scope="module")
def sound():
    generator = np.random.default_rng(3)
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    glide = np.sin(2 * np.pi * np.cumsum(300 + 900 * np.abs(np.sin(2.1 * time_s))) / SAMPLE_RATE)
    return (0.1 * glide + 0.01 * generator.standard_normal(len(time_s))).astype(np.float32)


def test_a_network_initialized_from_a_shipped_encoder_has_all_its_tensors(base, sound):
    encoder, network = base
    fresh = FrameEncoder(network.settings)
    for part in ("enter", "middle", "leave"):
        learned, own = (getattr(of.head, part).weight for of in (network, fresh))
        assert not torch.equal(learned, own)
    assert not torch.equal(network.head.mean, fresh.head.mean)
    tower = TowerFrameSettings(late=0).build_source()
    with torch.inference_mode():
        vectors = network.head(torch.from_numpy(tower.frames(sound))[None])[0].numpy()
    streamed = encoder.frames(sound)[1:-1]
    np.testing.assert_allclose(vectors, streamed, atol=1e-4 * np.abs(streamed).max())


WINDOWS = [(5, 20), (0, 75), (0, 4), (71, 75), (30, 31), (12, 47)]


def test_embeddings_of_stored_frames_are_those_of_the_exported_encoder(base, sound):
    encoder, network = base
    source = TowerFrameSettings(late=0).build_source()
    frames = source.frames(sound)
    found = directions(embedded(network, [Cut(frames, *window) for window in WINDOWS]))
    stops, lengths = np.array([(stop, stop - first) for first, stop in WINDOWS]).T
    wanted = encoder.embed_windows(encoder.frames(sound), stops, lengths)
    cosines = (found * wanted).sum(axis=1)
    inside = [first > 0 and stop < 75 for first, stop in WINDOWS]
    assert cosines[inside].min() > 0.99999
    # At the ends of a section its frames are repeated, where a stream has the next audio.
    assert cosines.min() > 0.99


def test_embeddings_of_stored_frames_are_those_of_training_on_words(base, sound):
    _, network = base
    frames = TowerFrameSettings(late=0).build_source().frames(sound)
    windows = [(12, 47), (30, 31), (20, 26)]
    # With this silence before it, the frames of the wave end where its hops end.
    off = network.reach % network.hop
    with torch.inference_mode():
        vectors = network(torch.from_numpy(np.pad(sound, (off, 0)))[None]).expand(len(windows), -1, -1)
        wanted = sum_windows(vectors, torch.tensor(windows) * network.hop + off, network)
        found = embed_cuts(network, [Cut(frames, *window) for window in windows], CPU)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_only_the_published_network_projects_embeddings_for_the_loss():
    rows = torch.randn(3, 12)
    assert project(network_of(STREAM), rows) is rows
    published = network_of(SEGMENT)
    rows = torch.randn(3, 16)
    torch.testing.assert_close(project(published, rows), published.head(rows))


def test_a_network_for_other_frames_is_refused():
    with pytest.raises(InputError, match=r"encoder\.features: 768.* 96"):
        build_network(SegmentSettings(), 96)
    assert isinstance(build_network(SEGMENT, 96), SegmentEncoder)


@pytest.mark.parametrize("count", [0, 9])
def test_a_segment_without_a_frame_is_refused(network, count):
    frames = np.zeros((count, 96), np.float32)
    with pytest.raises(InputError, match="frame"):
        embed_cuts(network, [Cut(frames, 0, 1 if count == 0 else 0)], CPU)


def test_gradients_reach_the_head_and_not_the_published_tower(cuts):
    network = network_of(STREAM).train()
    embed_cuts(network, cuts, CPU).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.head.parameters())
    assert not any(parameter.requires_grad for parameter in network.tower.parameters())
    assert not network.tower.training
