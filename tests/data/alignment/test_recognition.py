import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from earmark.core.audio import SAMPLE_RATE, duration_s, read, write
from earmark.core.errors import InputError
from earmark.data.alignment.recognition import FileSpan, Recognizer, corpus_recognizer, read_hypotheses, recognize

COUNTS = {"river": 3, "hammer": 2, "the": 9, "under": 1, "qqq": 4}


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """“river”, spoken twice by espeak-ng."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    path = tmp_path_factory.mktemp("spoken") / "river.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", str(path), "river"], check=True)
    quiet = np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE // 5).astype(np.float32)
    write(path, np.concatenate([quiet, read(path), quiet]))
    return path


def test_a_recognizer_of_some_words_finds_them_and_keeps_the_results(river: Path, tmp_path: Path) -> None:
    recognizer = corpus_recognizer(COUNTS, tmp_path)
    cuts: list[FileSpan] = [(str(river), 0.0, duration_s(river)), (str(river), 0.0, 0.02)]
    calls: list[tuple[float, float | None]] = []

    def progress(_: str, done: float, total: float | None) -> None:
        calls.append((done, total))

    found = recognize(cuts, recognizer, tmp_path / "log.jsonl", progress=progress)
    assert found[0].count("river") == 1
    assert found[1] == ()
    assert calls == [(0, 2), (1, 2), (2, 2)]
    lines = (tmp_path / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "log.jsonl").write_text("".join(lines[:-1]))
    calls.clear()
    two = recognize(cuts, recognizer, tmp_path / "log.jsonl", workers=2, progress=progress)
    assert two == found
    assert calls == [(1, 2), (2, 2)]


def test_another_language_model_recognizes_all_cuts_again(river: Path, tmp_path: Path) -> None:
    cuts: list[FileSpan] = [(str(river), 0.0, duration_s(river))]
    recognize(cuts, corpus_recognizer(COUNTS, tmp_path), tmp_path / "log.jsonl")
    only_hammer = corpus_recognizer({"hammer": 1}, tmp_path)
    found = recognize(cuts, only_hammer, tmp_path / "log.jsonl")
    assert set(found[0]) <= {"hammer"}


def test_the_language_model_gives_each_known_word_its_share(tmp_path: Path) -> None:
    recognizer = corpus_recognizer(COUNTS, tmp_path, (("qqq", "K Y UW"),))
    assert recognizer.model is not None
    rows = [line.split() for line in recognizer.model.read_text().splitlines() if len(line.split()) == 3]
    shares = {word: 10 ** float(share) for share, word, _ in rows if word in COUNTS}
    assert shares == pytest.approx({word: 0.9 * count / 19 for word, count in COUNTS.items()}, abs=1e-4)
    known = corpus_recognizer(COUNTS, tmp_path / "known").model
    assert known is not None
    assert "qqq" not in known.read_text()


def test_a_recognizer_needs_a_word_with_pronunciation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pronunciations"):
        corpus_recognizer({"qqq": 1}, tmp_path)


def test_a_file_that_cannot_be_read_has_no_words(tmp_path: Path) -> None:
    recognizer = corpus_recognizer(COUNTS, tmp_path)
    assert recognize([(str(tmp_path / "absent.wav"), 0.0, 1.0)], recognizer, tmp_path / "log.jsonl") == [()]
    assert Recognizer().model is None


def test_hypotheses_are_read_from_ctm_and_json(tmp_path: Path) -> None:
    ctm, lines, array = tmp_path / "a.ctm", tmp_path / "b.jsonl", tmp_path / "c.json"
    ctm.write_text("bear_1_3 A 0.1 0.2 a\nbear_1_3 A 0.3 0.4 Bear\nfox_1_4 A 0.3 0.4 fox\n")
    records = [{"name": "bear_1_3", "text": "a Bear"}, {"name": "fox_1_4", "text": "fox"}]
    lines.write_text("\n".join(map(json.dumps, records)))
    array.write_text(json.dumps(records))
    for path in (ctm, lines, array):
        assert read_hypotheses(path) == {"bear_1_3": ("a", "bear"), "fox_1_4": ("fox",)}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '[{"name": "bear"}]', r"a\.json, record 1"),
        ("a.txt", "bear", r"a\.txt"),
        ("a.ctm", "bear a", r"a\.ctm:1"),
    ],
)
def test_faulty_hypotheses_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_hypotheses(tmp_path / name)
    with pytest.raises(InputError, match=r"absent\.json"):
        read_hypotheses(tmp_path / "absent.json")
