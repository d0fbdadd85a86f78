"""Two processes with half the batch each learn what one process with the whole batch learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from earmark.core.errors import InputError
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.run.distributed import Processes

SCRIPT = """
import json, sys, warnings
from pathlib import Path
import torch
warnings.simplefilter("error")
from earmark.training.loop import train
from earmark.training.words.recipe import parse_recipe
from earmark.training.words.validation import Validation
torch.set_num_threads(1)
if len(sys.argv) > 3:
    eers = iter(json.loads(sys.argv[3]))
    Validation.measure = lambda self: {"eer": next(eers)}
table, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
train(parse_recipe(table, folder.parent, "recipe"), folder, device="cpu")
"""


def trained(table, folder: Path, processes: int, eers=None) -> list[float]:
    """The losses of a run in so many processes, one a step; ``eers`` are what its validations shall say."""
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps(table), encoding="utf-8")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] * (processes > 1)
    files = [folder / name for name in ("script.py", "recipe.json", "run")]
    call = [sys.executable, *launcher, *map(str, files), *([json.dumps(eers)] if eers else [])]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["loss"] for line in (folder / "run" / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def clips(table):
    """A recipe of clips of one length, with a normalization and a loss that has weights of its own."""
    silent = {effect: {"weight": 0.0} for effect in ("room", "noise", "music", "speech")}
    table |= {
        "scenes": {"kind": "centered", "shift_s": 0.1, "shift_probability": 0.5},
        "augment": {"kind": "one_of"} | silent,
        "encoder": {"kind": "res", "depth": 8, "maps": 4, "dimension": 8},
        "loss": {"kind": "softmax_angular_prototypical"},
        "episodes": {"words": 4, "utterances": 2},
        "optimizer": {"steps": 4, "lr": 0.01},
        "checkpoint_every": 1,
    }
    return table


def test_two_processes_learn_what_one_learns(clips, tmp_path):
    alone = trained(clips, tmp_path / "one", 1)
    together = trained(clips, tmp_path / "two", 2)
    assert together == pytest.approx(alone, rel=1e-4)
    one = load_checkpoint(tmp_path / "one" / "run" / "last.safetensors")
    two = load_checkpoint(tmp_path / "two" / "run" / "last.safetensors")
    assert one.tensors.keys() == two.tensors.keys()
    for name, tensor in one.tensors.items():
        if name.startswith("model."):
            assert torch.allclose(two.tensors[name].float(), tensor.float(), rtol=1e-2, atol=1e-3), name


def test_processes_agree_on_what_is_best_and_when_to_end(clips, tmp_path):
    clips["optimizer"] |= {"steps": 9, "precision": "bfloat16"}
    losses = trained(clips | {"stop_after": 2}, tmp_path / "two", 2, eers=[0.1, 0.2, 0.05, 0.2, 0.05, 0.01])
    assert len(losses) == 5
    assert load_checkpoint(tmp_path / "two" / "run" / "best.safetensors").step == 3


def test_a_student_of_streams_learns_alike_in_two_processes(table, tmp_path, corpus):
    table["data"]["sounds"] = [{"manifest": str(corpus / "judge.tsv")}]
    table["episodes"] = {"words": 4, "utterances": 2, "background": 2}
    table["distillation"] = {"weight": 1.0, "sounds": 4}
    table["encoder"]["dropout"] = 0.0
    table["optimizer"] = {"kind": "sgd", "steps": 3, "lr": 0.01}
    table["checkpoint_every"] = 1
    alone = trained(table, tmp_path / "one", 1)
    together = trained(table, tmp_path / "two", 2)
    assert together == pytest.approx(alone, rel=1e-3)


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(InputError, match=r"^episodes: 7 clips a batch cannot be shared out among 2 processes evenly$"):
        Processes(0, 2).share(7)
    assert Processes(1, 2).share(8) == slice(4, 8)


def test_one_process_alone_changes_nothing():
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    Processes().average_gradients([parameter])
    assert parameter.grad.tolist() == [1, 1]
    rows = torch.ones(3, 2, requires_grad=True)
    assert Processes().gather(rows) is rows
