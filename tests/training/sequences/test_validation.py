import dataclasses

import numpy as np
import pytest
import torch

from earmark.data.manifest import Clip
from earmark.training.nn.losses.nt_xent import NTXent, NTXentSettings
from earmark.training.recipe import check_any_recipe
from earmark.training.sequences.dataset import SequenceDataset
from earmark.training.sequences.frames import ContextSettings
from earmark.training.sequences.frames.log_mel import LogMelFrameSettings
from earmark.training.sequences.lists import SegmentList, read_segment_list
from earmark.training.sequences.networks import build_network, embed_cuts, project
from earmark.training.sequences.segment_frames import SegmentFrames
from earmark.training.sequences.validation import SequenceValidation

SOURCE = LogMelFrameSettings(n_mels=12, hop_s=0.02).build_source()
CPU = torch.device("cpu")


def recipe_of(table):
    return check_any_recipe(table, "recipe")


@pytest.fixture
def network(table):
    torch.manual_seed(0)
    return build_network(recipe_of(table).encoder, 12)


@pytest.fixture(scope="module")
def labeled(speech, tmp_path_factory):
    listed = read_segment_list(speech / "labeled.txt", speech)
    return SegmentFrames(listed, None, SOURCE, tmp_path_factory.mktemp("kept"), ContextSettings())


def alone(network, frames):
    """Embeddings of segments, one at a time, without dropout."""
    network.eval()
    with torch.inference_mode():
        return np.concatenate([embed_cuts(network, [cut], CPU).numpy() for cut in frames.cuts(frames.kept)])


def average_precision(order, is_right):
    """Average precision of one ranking, by a plain loop."""
    found = [sum(is_right[order[: k + 1]]) / (k + 1) for k in range(len(order)) if is_right[order[k]]]
    return sum(found) / is_right.sum()


def plain_map(embeddings, labels, speakers=None):
    """Mean over queries; with speakers, the candidates are segments of other speakers."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit @ unit.T
    count = range(len(labels))
    may_answer = [[other for other in count if other != query] for query in count]
    if speakers is not None:
        may_answer = [[other for other in count if speakers[other] != speakers[query]] for query in count]
    is_right = [labels[others] == labels[query] for query, others in enumerate(may_answer)]
    most = max(right.sum() for right in is_right)
    orders = [np.argsort(-cosines[query, others])[:most] for query, others in enumerate(may_answer)]
    return np.mean([average_precision(*both) for both in zip(orders, is_right, strict=True)])


def test_map_equals_a_plain_loop_over_the_segments_of_other_speakers(network, labeled):
    clips = labeled.listed.clips
    labels, speakers = (np.array([getattr(clip, name) for clip in clips]) for name in ("label", "speaker"))
    measured = SequenceValidation(network, NTXentSettings(), labeled, None, CPU).metrics()
    assert measured.keys() == {"map", "map_at_r"}
    assert measured["map"] == pytest.approx(plain_map(alone(network, labeled), labels, speakers), abs=1e-5)


def test_with_one_speaker_the_candidates_are_all_other_segments(network, labeled):
    bare = tuple(dataclasses.replace(clip, speaker="anna") for clip in labeled.listed.clips)
    frames = SegmentFrames.__new__(SegmentFrames)
    vars(frames).update(vars(labeled) | {"listed": SegmentList(bare, labeled.listed.folder)})
    labels = np.array([clip.label for clip in bare])
    measured = SequenceValidation(network, NTXentSettings(), frames, None, CPU).metrics()
    assert measured["map"] == pytest.approx(plain_map(alone(network, labeled), labels), abs=1e-5)


def test_segments_without_a_frame_do_not_count(network, speech, tmp_path):
    listed = read_segment_list(speech / "labeled.txt", speech)
    short = Clip("anna_0.wav", 0.301, 0.302, "anna", "rise")
    some = SegmentFrames(
        SegmentList((short, *listed.clips), speech), None, SOURCE, tmp_path / "kept", ContextSettings()
    )
    every = SegmentFrames(listed, None, SOURCE, tmp_path / "kept", ContextSettings())
    numbers = [SequenceValidation(network, NTXentSettings(), one, None, CPU).metrics() for one in (some, every)]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("kind", ["sections", "pairs", "gold"])
def test_the_held_out_loss_uses_the_projection(network, table, speech, kind):
    lists = {"sections": "sections", "pairs": "pairs", "gold": "labeled"}
    table["data"] |= {"held_out": str(speech / f"{lists[kind]}.txt"), lists[kind]: str(speech / f"{lists[kind]}.txt")}
    table["episodes"] = {"kind": kind} | (table["episodes"] if kind == "sections" else {})
    held_out = SequenceDataset(recipe_of(table), SOURCE, CPU).held_out()
    assert held_out is not None
    measured = SequenceValidation(network, NTXentSettings(), None, held_out, CPU).metrics()
    assert measured.keys() == {"held_out_loss"}
    network.eval()
    loss = NTXent(NTXentSettings(), classes=0, dimension=16)
    projected, unprojected = [], []
    for batch in map(held_out, range(8)):
        with torch.inference_mode():
            rows = embed_cuts(network, batch.cut(np.arange(2 * len(batch.labels))), CPU)
            labels = torch.from_numpy(batch.labels)
            projected.append(loss(project(network, rows).unflatten(0, (-1, 2)), labels).item())
            unprojected.append(loss(rows.unflatten(0, (-1, 2)), labels).item())
    assert measured["held_out_loss"] == pytest.approx(np.mean(projected), rel=1e-5)
    assert measured["held_out_loss"] != pytest.approx(np.mean(unprojected), rel=1e-2)


def test_held_out_batches_differ_from_training_batches_and_are_reproducible(table):
    table["data"]["held_out"] = table["data"]["sections"]
    material = SequenceDataset(recipe_of(table), SOURCE, CPU)

    def first_held_out():
        draw = material.held_out()
        assert draw is not None
        return draw(0)

    teaching, held_out = material.training(3)(0), first_held_out()
    rows = np.arange(4)
    lengths = [[len(cut.frames) for cut in batch.cut(rows)] for batch in (teaching, held_out)]
    assert lengths[0] != lengths[1]
    again = first_held_out()
    for one, other in zip(held_out.cut(rows), again.cut(rows), strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)


def test_validation_is_reproducible_and_does_not_depend_on_the_mode_of_the_network(network, labeled):
    validation = SequenceValidation(network, NTXentSettings(), labeled, None, CPU)
    network.train()
    first = validation.metrics()
    network.train()
    assert validation.metrics() == first
