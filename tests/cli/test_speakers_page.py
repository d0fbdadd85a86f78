"""What docs/speakers.md shows runs."""

import re
import shlex
from pathlib import Path

from earmark import audio

PAGE = (Path(__file__).parents[2] / "docs" / "speakers.md").read_text(encoding="utf-8")


def test_the_commands_on_the_page_run(run, stand_in_speaker, speak, tmp_path, monkeypatch):
    monkeypatch.setattr("earmark.models.speaker_encoder.load_speaker_encoder", lambda _name=None: stand_in_speaker)
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("lights1.wav", "lights2.wav", "lights3.wav", "evening.flac")):
        audio.write(name, speak("rise", "alice", seed=seed))
    for name in ("story.mp3", "message.ogg"):
        audio.write(name, speak("fall", "alice", seed=9))
    assert run("enroll", "music", "lights1.wav").code == 0
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "earmark"
        result = run(*arguments)
        assert (result.code, result.err) == (0, ""), line


def test_the_python_on_the_page_runs(stand_in, stand_in_speaker, speak, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("earmark.models.speaker_encoder.load_speaker_encoder", lambda _name=None: stand_in_speaker)
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _name=None: stand_in)
    takes = [speak("rise", "alice", seed=seed) for seed in range(4)]
    paths = [tmp_path / f"{seed}.wav" for seed in range(4)]
    for path, take in zip(paths, takes, strict=True):
        audio.write(path, take)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    chunk = speak("rise", "alice", before_s=1.0, after_s=2.0, seed=2)
    exec(compile(example, "speakers.md", "exec"), {"paths": paths, "takes": takes, "chunk": chunk})
    assert capsys.readouterr().out.startswith("lights alice ")
