import json

import numpy as np
import pytest
import torch

from earmark.core.errors import InputError
from earmark.models.encoder import load_encoder
from earmark.models.onnx_model import shipped_file
from earmark.training.export.encoder import export
from earmark.training.loop import train
from earmark.training.recipe import check_any_recipe
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.run.distributed import Processes
from earmark.training.sequences.dataset import SequenceDataset
from earmark.training.sequences.task import SequenceTask

CPU = torch.device("cpu")
GENERATOR = torch.Generator()


@pytest.fixture
def of_kind(table, speech):
    """`of_kind("pairs")`: the table of a recipe with these episodes."""

    def make(kind, **changes):
        table["data"] |= {"pairs": str(speech / "pairs.txt"), "labeled": str(speech / "labeled.txt")}
        table["episodes"] = {
            "sections": table["episodes"],
            "pairs": {"kind": "pairs", "pairs": 6},
            "gold": {"kind": "gold", "labels": 4},
        }[kind]
        return table | changes

    return make


def recipe_of(table):
    return check_any_recipe(table, "recipe")


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("kind", "count"), [("sections", 12), ("pairs", 6), ("gold", 4)])
def test_a_batch_holds_two_segments_of_each_label(of_kind, kind, count):
    task = SequenceTask(recipe_of(of_kind(kind)), CPU, Processes())
    batch = task.batch(0, GENERATOR, Processes())
    assert batch.utterances == 2
    assert len(batch.labels) == len(np.unique(batch.labels)) == count
    assert batch.embeddings.shape == (2 * count, 16)
    batch.embeddings.square().sum().backward()
    assert all(parameter.grad is not None for parameter in task.model.parameters())
    assert task.classes == ()


@pytest.mark.parametrize("kind", ["sections", "pairs", "gold"])
def test_processes_that_share_a_batch_embed_the_same_rows_as_one_process(of_kind, kind):
    task = SequenceTask(recipe_of(of_kind(kind)), CPU, Processes())
    task.model.eval()
    with torch.inference_mode():
        whole = task.batch(1, GENERATOR, Processes())
        shares = [task.batch(1, GENERATOR, Processes(rank, 2)) for rank in range(2)]
    torch.testing.assert_close(torch.cat([share.embeddings for share in shares]), whole.embeddings)
    for share in shares:
        np.testing.assert_array_equal(share.labels, whole.labels)


def test_a_batch_depends_on_its_step_alone(of_kind):
    task = SequenceTask(recipe_of(of_kind("sections")), CPU, Processes())
    task.model.eval()
    first = task.batch(3, GENERATOR, Processes())
    task.batch(4, GENERATOR, Processes())
    torch.testing.assert_close(task.batch(3, GENERATOR, Processes()).embeddings, first.embeddings)


@pytest.mark.parametrize("kind", ["sections", "pairs"])
def test_a_killed_run_resumes_to_the_same_bits(of_kind, check_resuming, kind):
    check_resuming(recipe_of(of_kind(kind)), stop_at=3, kept=2)


def test_training_lowers_the_loss_and_raises_map(of_kind, tmp_path):
    table = of_kind("gold", optimizer={"steps": 40, "lr": 3e-3}, checkpoint_every=20)
    train(recipe_of(table), tmp_path / "run", device="cpu")
    first, last = log(tmp_path / "run")
    assert last["loss"] < first["loss"]
    assert last["map"] > 0.5


def test_a_run_ends_when_the_held_out_loss_no_longer_falls(of_kind, tmp_path):
    table = of_kind("sections", watch="loss", stop_after=1, checkpoint_every=1)
    table["data"] |= {"held_out": table["data"]["sections"]}
    table["optimizer"] = {"steps": 20, "lr": 10.0, "clip_norm": 0.0}
    best = train(recipe_of(table), tmp_path / "run", device="cpu")
    lines = log(tmp_path / "run")
    losses = [line["held_out_loss"] for line in lines]
    assert len(losses) < 20
    assert losses[-1] >= min(losses[:-1])
    assert load_checkpoint(best).metrics["held_out_loss"] == min(losses)
    assert {"map", "map_at_r", "loss"} < lines[0].keys()


@pytest.fixture
def of_streams(of_kind):
    """The table of a recipe that starts from the shipped encoder."""
    table = of_kind("pairs", frames={"kind": "tower", "late": 0})
    shipped = load_encoder("base").card["recipe"]["encoder"]
    return table | {
        "encoder": {"kind": "stream"} | shipped,
        "optimizer": {"steps": 1, "lr": 1e-12, "weight_decay": 0.0, "warmup": 0.0},
        "start": {"checkpoint": str(shipped_file("base"))},
        "checkpoint_every": 1,
    }


def test_a_run_from_the_shipped_encoder_without_learning_exports_the_same_encoder(of_streams, tmp_path):
    last = train(recipe_of(of_streams), tmp_path / "run", device="cpu")
    encoder = export(last, tmp_path / "again.onnx")
    base = load_encoder("base")
    sound = (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)
    frames = base.frames(sound)
    np.testing.assert_allclose(encoder.frames(sound), frames, atol=1e-4 * np.abs(frames).max())


def test_a_stream_head_gets_the_frames_beside_a_segment_and_no_more(of_streams):
    recipe = recipe_of(of_streams)
    batch = SequenceDataset(recipe, recipe.frames.build_source(), CPU).training(0)(0)
    around = {(cut.first, len(cut.frames) - cut.stop) for cut in batch.cut(np.arange(12))}
    assert (1, 1) in around
    assert around <= {(1, 1), (0, 1), (1, 0)}


def test_a_new_stream_head_is_fitted_to_the_scale_of_its_frames(of_streams):
    of_streams["start"] = {}
    task = SequenceTask(recipe_of(of_streams), CPU, Processes())
    head = task.model.head
    deviation = head.get_buffer("deviation")
    assert not torch.equal(head.get_buffer("mean"), torch.zeros(96))
    assert torch.isfinite(deviation).all()
    assert bool((deviation > 0).all())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder": {"features": 13, "dimension": 16, "heads": 2}},
            r"encoder\.features: 13",
        ),
        ({"episodes": {"least_sections": 5}}, r"data\.sections: "),
        ({"data.held_out": "labeled.txt"}, r"labeled\.txt:1: "),
        ({"data.sections": "broken.txt"}, r"broken\.txt:2: .*dora\.wav"),
        ({"data.sections": "none.txt"}, r"none\.txt: No such file"),
        (
            {"data.validation": "unlabeled.txt"},
            r"data\.validation: .*anna_0\.wav",
        ),
        ({"episodes": {"kind": "gold"}, "data.labeled": "unlabeled.txt"}, r"data\.labeled: .*anna_0\.wav"),
        ({"data.validation": "single.txt"}, r"data\.validation: .*single\.txt"),
        ({"episodes": {"kind": "pairs"}, "data.pairs": "own.txt"}, r"own\.txt: "),
        ({"episodes": {"kind": "pairs"}, "data.pairs": "one.txt"}, r"data\.pairs: 1 "),
        ({"episodes": {"kind": "pairs"}, "data.pairs": "between.txt"}, r"anna_.\.wav: .*data\.sections"),
        ({"data.audio": None}, r"data\.audio: .*sections\.txt"),
        ({"start": {"checkpoint": "none.onnx"}}, r"none\.onnx"),
    ],
)
def test_a_wrong_list_is_named_before_any_work(of_kind, speech, tmp_path, changes, message):
    (tmp_path / "broken.txt").write_text("anna_0.wav anna 0.2 1.7\ndora.wav dora 0 1\n")
    (tmp_path / "unlabeled.txt").write_text("".join(f"anna_{n}.wav anna 0.2 1.7 0.3 0.8 NOTRANS\n" for n in range(2)))
    (tmp_path / "single.txt").write_text("anna_0.wav anna 0.2 1.7 0.3 0.8 rise\nanna_0.wav anna 0.2 1.7 0.8 1 bow\n")
    pair = "anna_0.wav anna 0.3 0.8 {} anna {} 0.9\n"
    (tmp_path / "own.txt").write_text(pair.format("anna_0.wav", "1.1 1.6"))
    (tmp_path / "one.txt").write_text(pair.format("anna_1.wav", "1.1 1.6"))
    (tmp_path / "between.txt").write_text(2 * pair.format("anna_1.wav", "1.5 2.0"))
    table = of_kind("sections")
    for key, value in changes.items():
        if key.startswith("data."):
            path = None if value is None else str((tmp_path if (tmp_path / value).exists() else speech) / value)
            table["data"][key.removeprefix("data.")] = path
        else:
            table[key] = value
    table["optimizer"], table["checkpoint_every"] = {"steps": 10_000}, 10_000
    with pytest.raises(InputError, match=message):
        train(recipe_of(table), tmp_path / "run", device="cpu")
    assert not [*(tmp_path / "run").glob("*.safetensors")]


def test_frames_and_audio_are_kept_for_the_next_run(of_kind, tmp_path):
    table = of_kind("pairs") | {"optimizer": {"steps": 1}}

    def run(name, **changes):
        train(recipe_of(table | changes), tmp_path / name, device="cpu")
        return {file: file.stat().st_mtime_ns for file in (tmp_path / "kept").rglob("*") if file.is_file()}

    first = run("one")
    assert run("two", seed=4) == first
    # Other frames are kept beside them.
    assert first.items() < run("three", frames=table["frames"] | {"low_hz": 100.0}).items()
