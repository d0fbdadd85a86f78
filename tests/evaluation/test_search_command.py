import json
import sys

import pytest

from earmark import audio
from earmark.cli import main
from earmark.search import Recording, update


@pytest.fixture
def run(make_sum_encoder, monkeypatch, capsys):
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda name=None: make_sum_encoder(name or "base"))

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["earmark", "evaluate", "search", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        return stop.value.code or 0, output.out, output.err

    return command


@pytest.fixture
def archive(tmp_path, say, make_sum_encoder):
    """Six recordings of two words, their manifest, an index of them, and takes of the words by other voices."""
    rows = ["path\tlabel"]
    for number in range(6):
        word = "fall" if number % 2 else "rise"
        audio.write(tmp_path / f"{number}.wav", say(word, before_s=1.0, after_s=2.0, seed=number))
        rows.append(f"{number}.wav\twe {word.upper()} again")
    for word in ("rise", "fall", "bow"):
        audio.write(tmp_path / f"{word}.wav", say(word, seed=77))
    (tmp_path / "manifest.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "queries.txt").write_text("rise rise.wav\nrise 0.wav\nfall fall.wav\nbow bow.wav\n")
    encoder = make_sum_encoder("base")
    update(tmp_path / "index", [Recording(tmp_path / f"{number}.wav") for number in range(6)], encoder)
    return tmp_path


def test_words_that_are_found_first_score_one(run, archive):
    where = ["--index", archive / "index", "--references", archive / "manifest.tsv", "--out", archive / "out"]
    code, out, err = run(archive / "queries.txt", *where)
    assert (code, err) == (0, "")
    assert "left out: 1 queries" in out
    assert "3 queries of 2 words, 1 take each, in 6 files" in out
    told = json.loads((archive / "out" / "results.json").read_text())
    assert told["results"]["map"]["value"] == pytest.approx(1.0)
    # The query that is one of the recordings does not look for itself.
    assert told["words"]["rise"]["places"] == 3
    assert (told["queries"], told["left_out"], told["exact"], told["beta"]) == (3, 1, True, 999.9)
    assert told["results"]["mtwv"]["value"] == pytest.approx(1.0, abs=0.1)
    table = (archive / "out" / "table.md").read_text()
    assert "| MAP | P@10 | P@R | MTWV |" in table
    assert "| fall | 1 | 3 | 1.000 | 0.30 |" in table


def test_several_takes_make_a_query(run, archive):
    where = ["--index", archive / "index", "--references", archive / "manifest.tsv", "--out", archive / "out"]
    code, out, _ = run(archive / "queries.txt", *where, "--takes", "2")
    assert code == 0
    assert "1 queries of 1 words, 2 takes each" in out


def test_queries_of_unknown_words_are_told(run, archive):
    (archive / "bow.txt").write_text("bow bow.wav\n")
    code, _, err = run(archive / "bow.txt", "--index", archive / "index", "--references", archive / "manifest.tsv")
    assert (code, err.count("\n")) == (2, 1)
    assert "none of the queries' words is said" in err
