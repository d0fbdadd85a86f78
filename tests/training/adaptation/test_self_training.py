from typing import Any

import pytest
import torch

from earmark.core.errors import InputError
from earmark.data.manifest import Manifest
from earmark.models.encoder import load_encoder
from earmark.training.adaptation.initialization import Initialization, choose_initialization
from earmark.training.adaptation.report import summary
from earmark.training.adaptation.self_training import AdaptationResult, SelfTraining
from earmark.training.adaptation.settings import AdaptSettings
from earmark.training.recipe import check_any_recipe
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from earmark.training.sequences.networks import build_network
from earmark.training.sequences.recipe import SequenceRecipe

BRIEF = AdaptSettings(rounds=2, steps=4, checks=2, pairs=16, held_out=0.3, threads=1)
ONE_ROUND = BRIEF.model_copy(update={"rounds": 1})


def adapt(*arguments: Any, **options: Any) -> AdaptationResult:
    """All rounds of an adaptation, and its result; arguments as of `SelfTraining`."""
    training = SelfTraining(*arguments, **options)
    assert list(training.rounds())
    return training.result()


@pytest.mark.slow
def test_an_interrupted_adaptation_continues_to_the_same_bits(talkers, initialization, tmp_path):
    interrupted = SelfTraining(talkers, tmp_path / "one", initialization, BRIEF, device="cpu")
    assert next(interrupted.rounds()).number == 1
    pairs = tmp_path / "one" / "round-1" / "pairs" / "results.json"
    before = pairs.stat().st_mtime_ns
    resumed = adapt(talkers, tmp_path / "one", initialization, BRIEF, device="cpu")
    assert pairs.stat().st_mtime_ns == before
    whole = adapt(talkers, tmp_path / "two", initialization, BRIEF, device="cpu")
    assert [one.numbers for one in resumed.rounds] == [one.numbers for one in whole.rounds]
    assert resumed.checkpoint is not None
    assert whole.checkpoint is not None
    tensors = [load_checkpoint(path).tensors for path in (resumed.checkpoint, whole.checkpoint)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    # All rounds are validated on the pairs of the initialization.
    best = [whole.start, *(one.numbers for one in whole.rounds)][whole.kept]
    assert whole.kept == 0 or best["held_out_loss"] == load_checkpoint(whole.checkpoint).metrics["held_out_loss"]


def test_a_round_without_improvement_is_the_last_and_the_initialization_is_kept(
    talkers, initialization, labeled, tmp_path
):
    still = BRIEF.model_copy(update={"lr": 1e-20, "from_scratch": False, "rounds": 3})
    found = adapt(talkers, tmp_path / "out", initialization, still, validation=labeled, device="cpu")
    assert (found.watch, found.kept, len(found.rounds)) == ("map", 0, 1)
    assert found.rounds[0].numbers["map"] == pytest.approx(found.start["map"])
    assert found.checkpoint is not None
    init = load_checkpoint(tmp_path / "out" / "init" / "run" / "best.safetensors").tensors
    kept = load_checkpoint(found.checkpoint).tensors
    assert all(torch.equal(kept[name], init[name]) for name in init)


def test_recordings_may_be_added_after_an_error(talkers, initialization, tmp_path):
    with pytest.raises(InputError):
        adapt(Manifest(talkers.clips[:1], talkers.folder), tmp_path / "out", initialization, BRIEF)
    assert adapt(talkers, tmp_path / "out", initialization, ONE_ROUND, device="cpu").rounds


def test_another_initialization_or_validation_is_refused_in_the_same_folder(talkers, labeled, tmp_path):
    path = tmp_path / "start.safetensors"

    def begin() -> None:
        SelfTraining(talkers, tmp_path / "out", Initialization("start", {}, path), BRIEF, validation=labeled)

    path.write_bytes(b"one")
    begin()
    begin()
    path.write_bytes(b"two")
    with pytest.raises(InputError, match="initialization"):
        begin()
    path.write_bytes(b"one")
    labeled.write_text(labeled.read_text() + "\n")
    with pytest.raises(InputError, match="validation"):
        begin()


def test_another_corpus_is_refused_in_the_same_folder(talkers, initialization, tmp_path):
    SelfTraining(talkers, tmp_path / "out", initialization, BRIEF)
    with pytest.raises(InputError, match="corpus"):
        SelfTraining(Manifest(talkers.clips[:-1], talkers.folder), tmp_path / "out", initialization, BRIEF)


def test_an_adaptation_may_continue_with_more_threads_and_rounds(talkers, initialization, tmp_path):
    SelfTraining(talkers, tmp_path / "out", initialization, BRIEF)
    before = torch.get_num_threads()
    try:
        SelfTraining(talkers, tmp_path / "out", initialization, BRIEF.model_copy(update={"threads": 2, "rounds": 9}))
    finally:
        torch.set_num_threads(before)


def test_stages_of_a_round_are_reported(talkers, initialization, tmp_path):
    stages = []
    adapt(
        talkers,
        tmp_path / "out",
        initialization,
        ONE_ROUND,
        device="cpu",
        progress=lambda stage, _done, _total: stages.append(stage),
    )
    assert {"held-out: embedding", "round-1: embedding", "round-1: neighbors"} <= {*stages}


@pytest.mark.slow
def test_a_file_beside_the_initialization_is_neither_used_nor_written(talkers, tmp_path):
    table = {"kind": "sequences", "name": "stream", "data": {"folder": "frames", "sections": "sections.txt"}}
    recipe = check_any_recipe(
        {**table, "frames": {"kind": "tower", "late": 0}, "encoder": {"kind": "stream", "frames": "published"}},
        "the test",
    )
    assert isinstance(recipe, SequenceRecipe)
    torch.manual_seed(0)
    model = build_network(recipe.encoder, 96)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state = Checkpoint(recipe.model_dump(mode="json"), 1, {}, tensors, ())
    save_checkpoint(tmp_path / "best.safetensors", state)
    other = tmp_path / "best.onnx"
    other.write_text("another file")
    initialization = choose_initialization(str(tmp_path / "best.safetensors"))
    result = adapt(talkers, tmp_path / "out", initialization, ONE_ROUND, device="cpu")
    assert other.read_text() == "another file"
    assert load_encoder(tmp_path / "out" / "start.onnx").dimension == model.settings.dimension
    assert result.encoder is not None
    assert (result.calibration, bool(result.uncalibrated)) == (None, True)


@pytest.mark.slow
def test_an_encoder_adapted_from_base_can_be_calibrated(talkers, tmp_path):
    found = adapt(talkers, tmp_path / "out", choose_initialization(), ONE_ROUND, device="cpu", name="voices")
    lines = [*summary(found)]
    if found.kept:
        assert found.encoder == tmp_path / "out" / "voices.onnx"
        assert (found.calibration is None) == bool(found.uncalibrated)
        assert f"wrote {found.encoder}" in lines
    else:
        assert (found.encoder, found.checkpoint) == (None, None)
