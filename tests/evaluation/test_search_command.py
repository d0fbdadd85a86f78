import json
from functools import partial

import pytest

from earmark import audio
from earmark.search import Recording, update_index


@pytest.fixture
def run(make_sum_encoder, monkeypatch, command_line):
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda name=None: make_sum_encoder(name or "base"))
    return partial(command_line, "evaluate", "search")


@pytest.fixture
def folder(tmp_path, say, make_sum_encoder):
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
    update_index(tmp_path / "index", [Recording(tmp_path / f"{number}.wav") for number in range(6)], encoder)
    return tmp_path


def test_words_whose_hits_are_all_correct_have_map_one(run, folder):
    where = ["--index", folder / "index", "--references", folder / "manifest.tsv", "--out", folder / "out"]
    code, out, err = run(folder / "queries.txt", *where)
    assert (code, err) == (0, "")
    assert "left out: 1 queries" in out
    assert "3 queries of 2 words, 1 take each, in 6 files" in out
    document = json.loads((folder / "out" / "results.json").read_text())
    assert document["results"]["map"]["value"] == pytest.approx(1.0)
    # The recording of a query is left out of its own hits.
    assert document["words"]["rise"]["occurrences"] == 3
    assert (document["queries"], document["left_out"], document["exact"], document["beta"]) == (3, 1, True, 999.9)
    assert document["results"]["mtwv"]["value"] == pytest.approx(1.0, abs=0.1)
    table = (folder / "out" / "table.md").read_text()
    assert "| MAP | P@10 | P@R | MTWV |" in table
    assert "| fall | 1 | 3 | 1.000 | 0.30 |" in table


def test_several_takes_are_one_query(run, folder):
    where = ["--index", folder / "index", "--references", folder / "manifest.tsv", "--out", folder / "out"]
    code, out, _ = run(folder / "queries.txt", *where, "--takes", "2")
    assert code == 0
    assert "1 queries of 1 words, 2 takes each" in out


def test_queries_without_occurrences_are_an_error(run, folder):
    (folder / "bow.txt").write_text("bow bow.wav\n")
    code, _, err = run(folder / "bow.txt", "--index", folder / "index", "--references", folder / "manifest.tsv")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: --references: ")
