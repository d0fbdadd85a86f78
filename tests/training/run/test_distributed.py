"""Two processes with half a batch each compute what one process with the whole batch computes.

Run by `torchrun` as a script, this file is one of the two processes.

A loss is a continuous function of the weights, but its gradient is not: max pooling, ReLU and clipping switch. In
float32 a rounding error can move one pooling winner of 80,000, which changes the gradient by 0.1 to 1 % and the next
steps by more. Therefore gradients are compared in float64, where no rounding error reaches a switch, and for one step.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.training.loop import build_task, train
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.run.distributed import Processes, process_group, synchronize_statistics
from earmark.training.run.task import TrainingTask, batch_loss
from earmark.training.words.recipe import parse_recipe

CPU = torch.device("cpu")


def first_gradients(table, folder: Path, processes: Processes) -> dict[str, Tensor]:
    """Loss, gradients and running statistics of the first step, in float64 unless the recipe says bfloat16."""
    recipe = parse_recipe(table, folder, "recipe")
    task = build_task(recipe, CPU, processes)
    objective = recipe.loss.build(classes=len(task.classes), dimension=recipe.encoder.dimension)
    is_mixed = recipe.optimizer.precision == "bfloat16"
    if processes.count > 1:
        synchronize_statistics(task.model)
    inputs: list[Tensor] = []
    frontend = task.model.get_submodule("frontend")
    frontend.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    if not is_mixed:
        task.model.double()
        objective.double()
        frontend.register_forward_pre_hook(lambda _, args: (args[0].double(), *args[1:]))
    task.model.train()
    with torch.autocast("cpu", torch.bfloat16, is_mixed):
        batch = task.batch(0, torch.Generator().manual_seed(1), processes)
    loss = batch_loss(batch, objective, processes)
    loss.backward()
    named = {f"model.{name}": parameter for name, parameter in task.model.named_parameters()}
    named |= {f"loss.{name}": parameter for name, parameter in objective.named_parameters()}
    processes.average_gradients([*named.values()])
    found = {"loss": processes.mean(loss).detach(), "waves": processes.gather(inputs[0])}
    found |= {f"gradient.{name}": parameter.grad for name, parameter in named.items() if parameter.grad is not None}
    return found | {name: buffer.clone() for name, buffer in task.model.named_buffers() if "running" in name}


def worker(job: Path) -> None:
    """One process of `torchrun`."""
    torch.set_num_threads(1)
    tables = json.loads(job.read_text(encoding="utf-8"))
    if "eers" in tables:
        eers = iter(tables["eers"])

        def build(*arguments: Any, **options: Any) -> TrainingTask:
            task: Any = build_task(*arguments, **options)
            task.validate = lambda: {"eer": next(eers)}
            return task

        recipe = parse_recipe(tables["recipe"], job.parent, "recipe")
        train(recipe, job.parent / "run", device="cpu", build=build)
        return
    with process_group(CPU) as processes:
        for name, table in tables.items():
            found = first_gradients(table, job.parent, processes)
            save_file(found, job.parent / f"{name}-{processes.rank}.safetensors")


def in_two_processes(tables, folder: Path) -> Path:
    """The folder of the results of two workers."""
    folder.mkdir()
    job = folder / "job.json"
    job.write_text(json.dumps(tables), encoding="utf-8")
    launcher = ["-W", "error", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    call = [sys.executable, *launcher, __file__, str(job)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def clips(table):
    """A recipe of clips of one length, with normalizations and a loss that has weights."""
    silent = {effect: {"weight": 0.0} for effect in ("room", "noise", "music", "speech")}
    return table | {
        "scenes": {"kind": "center_crop", "shift_s": 0.1, "shift_probability": 0.5},
        "augment": {"kind": "one_of"} | silent,
        "encoder": {"kind": "res", "depth": 8, "maps": 4, "dimension": 8},
        "loss": {"kind": "softmax_angular_prototypical"},
        "episodes": {"words": 4, "utterances": 2},
        "optimizer": {"kind": "sgd", "steps": 9, "lr": 0.01},
        "checkpoint_every": 1,
    }


@pytest.fixture
def student(table, corpus):
    """A recipe of a student of streams with background: its rows have three kinds, and it has two losses."""
    return table | {
        "data": table["data"] | {"sounds": [{"manifest": str(corpus / "validation.tsv")}]},
        "episodes": {"words": 4, "utterances": 2, "background": 2},
        "distillation": {"weight": 1.0, "sounds": 4},
        "encoder": table["encoder"] | {"dropout": 0.0},
    }


@pytest.mark.slow
def test_two_processes_have_the_loss_gradients_and_statistics_of_one(clips, student, tmp_path):
    tables = {"clips": clips, "student": student}
    mixed = {"mixed": clips | {"optimizer": clips["optimizer"] | {"precision": "bfloat16"}}}
    folder = in_two_processes(tables | mixed, tmp_path / "two")
    for name, table in tables.items():
        one = first_gradients(table, tmp_path, Processes())
        for rank in range(2):
            two = load_file(folder / f"{name}-{rank}.safetensors")
            assert two.keys() == one.keys()
            # As sets: each process has a share of a student's clips, then a share of the other sounds.
            waves = [{row.numpy().tobytes() for row in found.pop("waves")} for found in (two, {**one})]
            assert waves[0] == waves[1]
            gradient = torch.cat([tensor.flatten() for key, tensor in one.items() if "gradient" in key]).norm()
            for key in one.keys() - {"waves"}:
                # Measured: 7e-13; the teacher of a student stays in float32.
                scale = gradient if "gradient" in key else one[key].norm()
                assert (two[key] - one[key]).norm() < 1e-6 * scale, (name, rank, key)
    one = first_gradients(clips, tmp_path, Processes())
    two = load_file(folder / "mixed-0.safetensors")
    assert two["loss"].dtype == torch.float32
    assert two["loss"].item() == pytest.approx(one["loss"].item(), rel=0.05)


@pytest.mark.slow
def test_a_run_in_two_processes_takes_the_steps_of_one_and_both_stop_early(clips, tmp_path):
    folder = in_two_processes({"recipe": clips | {"stop_after": 2}, "eers": [0.05, 0.2, 0.05, 0.01]}, tmp_path / "two")
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3]
    two = load_checkpoint(folder / "run" / "best.safetensors")
    assert two.step == 1
    shorter = clips["optimizer"] | {"steps": 1, "warmup": 1.0}
    alone = train(parse_recipe(clips | {"optimizer": shorter}, tmp_path, "recipe"), tmp_path / "one", device="cpu")
    one = load_checkpoint(alone)
    assert one.tensors.keys() == two.tensors.keys()
    # The momentum after the first step is its gradient. Measured: 8e-6 apart, and 6.9 without averaging.
    names = sorted(name for name in one.tensors if name.endswith("momentum_buffer"))
    assert names
    first, second = (torch.cat([state.tensors[name].flatten() for name in names]) for state in (one, two))
    assert (second - first).norm() < 0.1 * first.norm()


def test_a_batch_that_cannot_be_divided_evenly_is_refused():
    with pytest.raises(InputError, match=r"^episodes: "):
        Processes(0, 2).share(7)
    assert Processes(1, 2).share(8) == slice(4, 8)


def test_one_process_alone_changes_nothing():
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    Processes().average_gradients([parameter])
    assert parameter.grad.tolist() == [1, 1]
    rows = torch.ones(3, 2, requires_grad=True)
    assert Processes().gather(rows) is rows


if __name__ == "__main__":
    worker(Path(sys.argv[1]))
