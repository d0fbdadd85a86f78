"""What docs/keywords.md shows runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from earmark import audio
from earmark.store.store import KeywordStore

PAGE = (Path(__file__).parents[2] / "docs" / "keywords.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def recordings(say, hush, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(1, 4):
        audio.write(f"take{seed}.wav", say("rise", seed=seed))
    for name, pitches in (("evening", (250, 700, 900)), ("radio", (250, 700, 900)), ("hall", (200, 500, 1200))):
        audio.write(f"{name}.wav", say(*pitches, before_s=0.6, after_s=0.6, seed=9))
    room = hush(90.0)
    for number, start in enumerate(range(16_000, 88 * 16_000, 48_000)):
        room[start : start + 9600] += say("bow", before_s=0, after_s=0, noise_db=-90.0, seed=number)
    audio.write("living-room.wav", room)


def test_the_commands_on_the_page_run(run):
    block, _ = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    first, *lines = block.splitlines()
    assert run(*shlex.split(first)[1:]).code == 0
    assert run("keywords", "set", "jarvis", "--threshold", "0.75").code == 0
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "earmark"
        result = run(*arguments)
        assert (result.code, result.err) == (0, ""), line
    keyword = KeywordStore().get("jarvis")
    assert (len(keyword.takes), len(keyword.negatives), keyword.rate) == (3, 1, 2)


def test_the_python_on_the_page_runs(stand_in, monkeypatch, capsys):
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _name=None: stand_in)
    monkeypatch.setattr("earmark.load_encoder", lambda _name=None: stand_in, raising=False)
    example, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "keywords.md", "exec"), {})
    assert len(capsys.readouterr().out.split()) == 3


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_typed_words_on_the_page_are_enrolled(run, stand_in, monkeypatch):
    _, block = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        result = run(*shlex.split(line, comments=True)[1:])
        assert (result.code, result.err) == (0, ""), line
    jupiter, cocina = map(KeywordStore().get, ("jupiter", "cocina"))
    assert (len(jupiter.takes), len(jupiter.synthetic), len(cocina.takes)) == (1, 20, 2)
    assert all("espeak-ng_es" in take.source for take in cocina.synthetic)
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _name=None: stand_in)
    _, example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"earmark": __import__("earmark")}
    exec(compile(example, "keywords.md", "exec"), names)
    assert len(names["keyword"].synthetic) == 20  # type: ignore[attr-defined]
