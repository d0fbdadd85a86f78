import json

import numpy as np
import pytest

from earmark import audio


@pytest.fixture
def run(run, make_sum_encoder, monkeypatch):
    """The command line; `base` is the encoder of sums."""
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda name=None: make_sum_encoder(name or "base"))
    return run


@pytest.fixture
def talks(say, tmp_path):
    """Four recordings; “rise” is said at 1.4 s in two of them, “fall” in the others."""
    folder = tmp_path / "talks"
    (folder / "older").mkdir(parents=True)
    for number, name in enumerate(["a [1].wav", "b.flac", "older/a [1].wav", "older/c.ogg"]):
        word = say("fall" if number % 2 else "rise", before_s=1.4, after_s=2.0, seed=number)
        audio.write(folder / name, word)
    return folder


@pytest.fixture
def index(run, talks, tmp_path):
    assert run("index", talks, "--index", tmp_path / "talks.index").code == 0
    return tmp_path / "talks.index"


@pytest.fixture
def take(say, tmp_path):
    audio.write(tmp_path / "rise.wav", say("rise", seed=99))
    return tmp_path / "rise.wav"


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def test_a_folder_is_indexed_and_unchanged_files_are_skipped(run, talks, tmp_path):
    first = run("index", talks, "--index", tmp_path / "i")
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("indexed 4 files, 0.00 h in ")
    assert "× real time" in first.out
    assert f"{tmp_path / 'i'}: 4 files, 0.00 h of active audio, 0.0 MB" in first.out
    again = run("index", talks, "--index", tmp_path / "i")
    assert again.out.startswith("indexed 0 files, 0.00 h; 4 unchanged\n")
    (talks / "b.flac").unlink()
    assert "3 unchanged; 1 dropped" in run("index", talks, "--index", tmp_path / "i").out


def test_files_and_manifests_are_indexed(run, talks, tmp_path):
    (talks / "manifest.tsv").write_text("path\tstart_s\tend_s\na [1].wav\t\t\nb.flac\t1.0\t2.0\n")
    assert "indexed 2 files" in run("index", talks / "manifest.tsv", "--index", tmp_path / "i").out
    assert "indexed 1 file," in run("index", talks / "older" / "c.ogg", "--index", tmp_path / "i").out


def test_unreadable_files_are_reported_and_the_others_are_indexed(run, talks, tmp_path):
    (talks / "text.wav").write_text("no audio")
    result = run("index", talks, talks / "absent.wav", "--index", tmp_path / "i")
    assert result.code == 2
    assert [line.split(": ")[1] for line in result.err.splitlines()] == [
        str(talks / "text.wav"),
        str(talks / "absent.wav"),
    ]
    assert "indexed 4 files" in result.out
    assert "2 failed" in result.out
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = run("index", empty, "--index", tmp_path / "j")
    assert (nothing.code, nothing.err.count("\n")) == (2, 1)
    assert str(empty) in nothing.err
    assert not (tmp_path / "j").exists()


def test_a_word_is_found_by_a_take(run, index, talks, take):
    result = run("search", take, "--index", index, "--top", "2")
    assert (result.code, result.err) == (0, "")
    for name in ("a [1].wav", "older/a [1].wav"):
        assert str(talks / name) in result.out
    assert "rise (0." in result.out
    quiet = run("search", take, "--index", index, "--threshold", "1").out
    assert quiet.endswith("nothing found\n")


def test_json_lines_have_file_times_and_score(run, index, take, talks):
    keys = ["query", "file", "start_s", "end_s", "score"]
    ranked = objects(run("search", take, "--index", index, "--json", "--top", "2").out)
    assert [list(hit) for hit in ranked] == [[*keys, "verifier_score"]] * 2
    hits = objects(run("search", take, "--index", index, "--json", "--top", "2", "--no-verify").out)
    assert [list(hit) for hit in hits] == [keys] * 2
    assert {hit["file"] for hit in hits} == {str(talks / name) for name in ("a [1].wav", "older/a [1].wav")}
    assert all(hit["start_s"] == pytest.approx(1.4, abs=0.2) for hit in hits)


def test_ctm_and_label_tracks_have_their_formats(run, index, take, talks, tmp_path):
    result = run("search", take, "--index", index, "--ctm", "--top", "2", "--audacity", tmp_path / "labels")
    assert result.err == f"wrote 2 label tracks to {tmp_path / 'labels'}\n"
    rows = [line.split(" ") for line in result.out.splitlines()]
    assert {row[0] for row in rows} == {
        str(talks / name).replace(" ", "_") for name in ("a [1].wav", "older/a [1].wav")
    }
    for _, channel, start_s, duration_s, word, score in rows:
        assert (channel, word) == ("1", "rise")
        assert float(start_s) == pytest.approx(1.4, abs=0.2)
        assert float(duration_s) == pytest.approx(0.65, abs=0.2)
        assert 0.5 < float(score) <= 1
    tracks = [(tmp_path / "labels" / name).read_text() for name in ("a [1].txt", "a [1]-2.txt")]
    for track in tracks:
        start_s, end_s, label = track.rstrip("\n").split("\t")
        assert 1.2 < float(start_s) < float(end_s) < 2.3
        assert label.startswith("rise 0.")
    assert run("search", take, "--index", index, "--ctm", "--threshold", "1").out == ""


def test_a_hit_can_be_the_next_query(run, index, talks):
    (first, second) = objects(
        run("search", talks / "a [1].wav", "--from", "1.4", "--to", "2.0", "--index", index, "--json", "--top", "2").out
    )
    assert (first["file"], second["file"]) == (str(talks / "a [1].wav"), str(talks / "older" / "a [1].wav"))
    assert first["score"] > 0.95


def test_a_stored_keyword_is_a_query(run, index, take, talks, make_sum_encoder):
    from earmark.spotting.keyword import Keyword
    from earmark.store.store import KeywordStore

    encoder = make_sum_encoder("base")
    vector = encoder.embed(audio.read(take)[round(0.4 * 16_000) : 16_000])
    shared = {"takes": (), "embeddings": vector[None], "duration_s": 0.6, "threshold": 0.5}
    with KeywordStore() as store:
        store.save(Keyword(name="rise", encoder=encoder.fingerprint, **shared))
        store.save(Keyword(name="other", encoder="0" * 16, **shared))
    hits = objects(run("search", "--keyword", "rise", "--index", index, "--json", "--top", "2").out)
    assert {hit["file"] for hit in hits} == {str(talks / name) for name in ("a [1].wav", "older/a [1].wav")}
    result = run("search", "--keyword", "other", "--index", index)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert run("search", "--keyword", "ris", "--index", index).code == 2


def test_every_file_has_its_own_label_track(run, talks, take, tmp_path):
    for name in ("a [1]-2.wav", "A [1].wav"):
        audio.write(talks / name, audio.read(talks / "a [1].wav"))
    run("index", talks, "--index", tmp_path / "i")
    run("search", take, "--index", tmp_path / "i", "--audacity", tmp_path / "labels", "--json")
    found = run("search", take, "--index", tmp_path / "i", "--json").out
    files = {hit["file"] for hit in objects(found)}
    assert len(files) == 6
    tracks = [file.name.casefold() for file in (tmp_path / "labels").iterdir()]
    assert len(set(tracks)) == 6


def test_wrong_input_is_an_error_of_one_line(run, index, take, talks, tmp_path, hush, make_sum_encoder, monkeypatch):
    audio.write(tmp_path / "hush.wav", hush(2))

    def refused(key, *arguments):
        result = run(*arguments)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert key in result.err

    refused("absent", "search", take, "--index", tmp_path / "absent")
    refused("hush.wav", "search", tmp_path / "hush.wav", "--index", index)
    refused("absent.wav", "search", tmp_path / "absent.wav", "--index", index)
    refused("--keyword", "search", "--index", index)
    refused("--keyword", "search", take, "--keyword", "rise", "--index", index)
    refused("--ctm", "search", take, "--index", index, "--json", "--ctm")
    refused("--from", "search", take, take, "--from", "1", "--index", index)
    refused("FAISS", "search", take, "--index", index, "--fast")
    refused("energy", "index", talks, "--index", index, "--no-energy-gate")
    refused(str(talks / "absent"), "index", talks / "absent", "--index", talks / "i")
    assert not (talks / "i").exists()
    refused(str(take), "index", talks, "--index", take)
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda name=None: make_sum_encoder(name, "0" * 16))
    refused("(5a5a5a5a5a5a)", "search", take, "--index", index)
    refused("(000000000000)", "index", talks, "--index", index)
    (index / "index.json").write_text("{")
    refused("index.json", "search", take, "--index", index)


def test_the_index_in_the_data_folder_is_the_default(run, talks, take, tmp_path, monkeypatch):
    monkeypatch.delenv("EARMARK_INDEX", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made = run("index", talks)
    assert made.code == 0
    assert f"{tmp_path}" in made.out.splitlines()[-1]
    assert "recordings.index: 4 files" in made.out
    assert len(objects(run("search", take, "--json", "--top", "2").out)) == 2
    monkeypatch.setenv("EARMARK_INDEX", str(tmp_path / "other.index"))
    assert run("search", take).code == 2


def test_a_moved_folder_is_not_listed_twice(run, index, talks, tmp_path):
    talks.rename(tmp_path / "moved")
    moved = run("index", tmp_path / "moved", "--index", index)
    assert moved.out.startswith("indexed 0 files, 0.00 h; 4 moved or touched\n")
    assert f"{index}: 4 files" in moved.out


def test_several_takes_are_named_by_their_number_or_by_name(run, index, take, talks):
    takes = [take, talks / "a [1].wav"]
    assert run("search", *takes, "--index", index).out.split("(")[0].strip() == "2 takes"
    hits = objects(run("search", *takes, "--name", "casa", "--index", index, "--json").out)
    assert {hit["query"] for hit in hits} == {"casa"}


def test_a_large_index_is_searched_through_faiss(run, talks, take, tmp_path):
    made = run("index", talks, "--index", tmp_path / "i", "--neighbors-from", "0")
    assert "searched through FAISS" in made.out
    fast = run("search", take, "--index", tmp_path / "i", "--json", "--top", "2").out
    assert fast == run("search", take, "--index", tmp_path / "i", "--json", "--top", "2", "--exact").out
    assert len(objects(fast)) == 2
    assert np.isfinite([hit["score"] for hit in objects(fast)]).all()
