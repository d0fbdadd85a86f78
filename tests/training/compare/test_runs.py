"""In which order the runs of a comparison are trained."""

import pytest

from earmark.core.errors import InputError
from earmark.training.compare.runs import in_stages, plan_runs

TABLE = """
name = "{name}"
[data]
folder = "packed"
words = [{{ manifest = "clips.tsv" }}]
[start]
{start}
"""


@pytest.fixture
def runs(tmp_path):
    """`runs(first=None, second="first")`: runs of recipes by name, each starting from another's, of two seeds."""

    def make(**starts):
        paths = []
        for name, start in starts.items():
            line = f'checkpoint = "runs/{start}/seed{{seed}}/last.safetensors"' if start else ""
            paths.append(tmp_path / f"{name}.toml")
            paths[-1].write_text(TABLE.format(name=name, start=line), encoding="utf-8")
        return plan_runs(paths, [0, 1], tmp_path / "runs")

    return make


def names(stages):
    return [sorted({run.system for run in stage}) for stage in stages]


def test_a_run_that_starts_from_another_comes_after_it(runs):
    planned = runs(b=None, a="b", c="a", d=None)
    assert names(in_stages(planned)) == [["b", "d"], ["a"], ["c"]]
    assert all(
        run.recipe.start.checkpoint.parent.name == f"seed{run.seed}" for run in planned if run.system in {"a", "c"}
    )


def test_no_run_waits_for_a_checkpoint_from_elsewhere(runs):
    assert names(in_stages(runs(a="elsewhere", b="elsewhere"))) == [["a", "b"]]


def test_runs_that_are_initialized_from_each_other_are_refused(runs):
    with pytest.raises(InputError, match=r"^start\.checkpoint: [ab] "):
        in_stages(runs(a="b", b="a"))
