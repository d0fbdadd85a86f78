"""What tests of the published systems share: Speech Commands in small, and a reader who does what a page says."""

import itertools
import re
import shlex
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark import audio
from earmark.cli import app
from earmark.data.corpora.speech_commands import WORD_GROUPS, split_of
from earmark.evaluation.reports import plots

PROJECT = Path(__file__).parents[2]
NEW_IN_0_02 = {"backward", "follow", "forward", "learn", "visual"}
SPEAKERS = {"train": 4, "val": 6, "test": 4}
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}


@pytest.fixture(scope="session")
def commands(tmp_path_factory, say, hush):
    """`commands("0.02")`: a folder in the layout of that version, each word said once by fourteen speakers."""

    @cache
    def make(version):
        folder = tmp_path_factory.mktemp("gsc")
        for number, word in enumerate(sorted(word for group in WORD_GROUPS.values() for word in group)):
            if version == "0.01" and word in NEW_IN_0_02:
                continue
            pitches_hz = np.random.default_rng(number).uniform(150, 1500, 3)
            (folder / word).mkdir()
            for seed, speaker in enumerate(speakers()):
                wave = say(*pitches_hz, before_s=0.2, after_s=0.2, seed=seed)
                audio.write(folder / word / f"{speaker}_nohash_0.wav", wave)
        (folder / "_background_noise_").mkdir()
        for seed in range(2):
            audio.write(folder / "_background_noise_" / f"hum_{seed}.wav", hush(3, level=0.1, seed=seed))
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("[a-z]*/*.wav"))
        for split, name in LISTS.items():
            (folder / name).write_text("".join(f"{path}\n" for path in paths if split_of(path) == split))
        return folder

    return make


def speakers():
    """Names that the published hash puts into the splits."""
    names = [f"{number:08x}" for number in range(1000)]
    return [
        name
        for split, count in SPEAKERS.items()
        for name in itertools.islice((name for name in names if split_of(name) == split), count)
    ]


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """`follow(lines, more)`: run these commands in a folder that has the recipes, and nothing else yet.

    `more` has what is added to a command, by its first words: fewer steps, a smaller network. The pictures of
    evaluations, which have tests of their own, are not drawn.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT / "recipes", "recipes", ignore=shutil.ignore_patterns("compare"))
    Path("data").mkdir()
    for draw in ("draw_few_shot", "draw_open_set", "draw_verification"):
        monkeypatch.setattr(plots, draw, lambda *_, **__: None)

    def run(lines, more):
        for line in lines:
            added = [word for begin, words in more.items() if line.startswith(begin) for word in words]
            result = CliRunner().invoke(app, [*shlex.split(line)[1:], *added], catch_exceptions=False)
            assert result.exit_code == 0, f"{line}: {result.output}"

    return run


@pytest.fixture(scope="session")
def commands_of():
    """`commands_of("jung", "Try it")`: the commands of a section of that page, or of the whole page, each one line."""

    def read(page, section=None):
        text = (PROJECT / "docs" / "published" / f"{page}.md").read_text(encoding="utf-8")
        if section is not None:
            (text,) = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        return [line for line in lines if line and not line.startswith("#")]

    return read
