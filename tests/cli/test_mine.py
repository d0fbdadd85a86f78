import json

import numpy as np
import pytest

from earmark import audio


@pytest.fixture
def mine(run, tmp_path, say, monkeypatch):
    """`mine("--relation", "same")`: mine the words of four speakers by the baseline without training."""
    monkeypatch.chdir(tmp_path)
    lines = []
    for seed in range(4):
        audio.write(tmp_path / f"{seed}.wav", np.concatenate([say(word, seed=seed) for word in ("rise", "fall")]))
        lines += [f"{seed}.wav {{}} 0 2.8 {start_s} {start_s + 0.6} {word}" for word, start_s in RISE_AND_FALL]
    (tmp_path / "list.txt").write_text("".join(f"{line.format(f'voice{line[0]}')}\n" for line in lines))
    (tmp_path / "unknown.txt").write_text("".join(f"{line.format('-')}\n" for line in lines))

    def invoke(*words, source="list.txt"):
        return run("mine", source, "--audio", ".", "--encoder", "log-mel-mean", "--out", "out", *words)

    return invoke


RISE_AND_FALL = (("rise", 0.4), ("fall", 1.8))


def test_options_reach_the_settings_and_the_table_is_printed(mine, tmp_path):
    done = mine("--relation", "across", "--mutual", "--coverage", 0.7, "-k", 3, "--longest", 1.5, "--snippets")
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    settings = document["settings"]
    assert (settings["relation"], settings["mutual"], settings["coverage"]) == ("across", True, 0.7)
    assert (settings["neighbors"], settings["longest_s"]) == (3, 1.5)
    assert document["command"].startswith("earmark ")
    assert f"{document['pairs']['pairs']:,} pairs" in done.out
    assert list((tmp_path / "out" / "listen").iterdir())


@pytest.mark.parametrize(
    ("words", "option"),
    [(("--relation", "both"), "--relation"), (("--coverage", 2), "--coverage"), (("--neigbors", 3), "--neighbors")],
)
def test_a_wrong_option_is_named(mine, words, option):
    done = mine(*words)
    assert done.code == 2
    assert option in done.err
