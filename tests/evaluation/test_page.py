import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from earmark.evaluation import backends
from earmark.evaluation.embedders import embed_clips
from earmark.evaluation.protocols import few_shot, identification, open_set, probe, verification
from earmark.evaluation.reports import plots

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_the_example_on_the_page_runs(corpus, stand_in, tmp_path, monkeypatch, capsys):
    lists, clips = corpus
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "gsc10").symlink_to(lists)
    (tmp_path / "speech_commands_test").symlink_to(clips)
    (tmp_path / "lists").mkdir()
    for name, voices in {"train": (0, 1), "test": (2, 3)}.items():
        lines = [f"{label} {label}/{voice}.wav" for label in ("rise", "fall", "other") for voice in voices]
        (tmp_path / "lists" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    paths = [path.relative_to(clips).as_posix() for path in clips.rglob("*.wav")]
    given = {
        "my_embedding": stand_in.embed,
        "vectors_by_path": embed_clips(paths, clips, stand_in.embed_batch),
        "other_vectors": np.random.default_rng(0).normal(size=(5, 60)),
    }
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example.replace('["yes", "no"]', '["rise", "fall"]'), "evaluation.md", "exec"), given)
    printed = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in printed[:2]] == ["k1", "k2"]
    assert 0.5 < float(printed[2].split()[0]) <= 1


METRICS = [
    *few_shot.METRICS,
    *open_set.METRICS,
    *probe.METRICS,
    *identification.METRICS,
    *verification.METRICS,
]


@pytest.mark.parametrize("key", METRICS)
def test_every_metric_is_on_the_page(key):
    # Keys that differ only in their ends share a row, such as `frr_at_far_10`, `_2_5`, or `auc`, `…_seen`.
    stem, share = re.fullmatch(r"(.+?)((?:_seen|_unseen|_10|_5|_2_5|_1)?)", key).groups()
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and f"`{stem}" in line]
    assert any(f"`{key}`" in row or f"`{share}`" in row or f"`…{share}`" in row for row in rows)


@pytest.mark.parametrize(
    "name", [*get_args(backends.Backend), *get_args(open_set.Backend), *plots.FILES, *plots.PROBE_FILES]
)
def test_every_back_end_and_plot_is_on_the_page(name):
    assert re.search(rf"^\| .*`{name}`.* \|", PAGE, re.MULTILINE)
