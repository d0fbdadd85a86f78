import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earmark.cli.evaluate import app
from earmark.core.errors import InputError
from earmark.evaluation.reports import plots


@pytest.fixture
def run(corpus, stand_in, tmp_path, monkeypatch):
    """Run `probe` on the tiny corpus with the stand-in encoder; return the result and the results folder."""
    monkeypatch.setattr("earmark.models.encoder.load_encoder", lambda _: stand_in)
    monkeypatch.setenv("COLUMNS", "160")
    lists, clips = corpus
    for name, voices in {"labeled": "01", "test": "23"}.items():
        paths = sorted(path.relative_to(clips).as_posix() for path in clips.glob(f"*/[{voices}].wav"))
        (lists / f"{name}.txt").write_text("".join(f"{path.split('/')[0]} {path}\n" for path in paths))
    standard = [str(lists / "labeled.txt"), str(lists / "test.txt"), "--audio", str(clips)]

    def invoke(*words, of=standard, probe="linear", draw=False):
        if not draw:  # the plots are most of the work
            monkeypatch.setattr(plots, "draw_probe", lambda *_, **__: None)
        out = tmp_path / "out"
        by = ["--probe", probe] if probe else []
        command = ["probe", *of, "--whole", *by, "--out", str(out), *words]
        return CliRunner().invoke(app, command, catch_exceptions=False), out

    return invoke


@pytest.fixture
def manifest(corpus):
    return str(corpus[1] / "manifest.tsv")


def results_of(out):
    return json.loads((out / "results.json").read_text())


def test_a_probe_writes_tables_results_and_plots(run):
    result, out = run("--labels", "1,2", "--repetitions", "2", draw=True)
    assert result.exit_code == 0
    assert f"wrote {out}" in result.stdout.replace("\n", "")
    assert {path.name for path in out.iterdir()} == {"table.md", "results.json", *plots.PROBE_FILES}
    document = results_of(out)
    assert (document["kind"], document["classifier"], document["lists"]) == ("probe", "linear", "tiny")
    assert [one["name"] for one in document["results"]] == ["1 label a word", "2 labels a word"]
    many = document["results"][1]
    assert (many["repetitions"], many["labeled"], many["tested"]) == (2, 6, 6)
    assert set(many["words"]) == {"rise", "fall", "other"}
    assert many["numbers"]["error"]["low"] <= many["numbers"]["error"]["mean"] <= many["numbers"]["error"]["high"]
    table = (out / "table.md").read_text()
    assert "| 2 labels a word | stand-in, linear | " in table
    assert "| word, 1 label a word | precision (%) | recall (%) | test clips |" in table


def test_plots_are_titled_with_the_corpus_and_its_splits(run, manifest, monkeypatch):
    titles = []
    monkeypatch.setattr(plots, "draw_probe", lambda *_, title: titles.append(title))
    other = Path(manifest).with_name("few.tsv")
    shutil.copy(manifest, other)
    for words in ((), (manifest,), (str(other),)):
        assert (
            run("--labels", "1", "--repetitions", "1", **({"of": words} if words else {}), draw=True)[0].exit_code == 0
        )
    corpus = Path(manifest).parent.name
    assert titles == [
        "stand-in, linear: tiny, labeled → test",
        f"stand-in, linear: {corpus}, half of the speakers → the others",
        "stand-in, linear: few, half of the speakers → the others",
    ]


def test_all_labels_train_by_default_and_two_runs_give_the_same_results(run):
    (first, second) = (results_of(run("--repetitions", "1")[1])["results"] for _ in range(2))
    assert first == second
    assert (first[0]["name"], first[0]["labeled"]) == ("all labels", 6)
    assert first[0]["numbers"]["error"]["sd"] is None


def test_halves_of_the_speakers_of_a_manifest(run, manifest):
    document = results_of(run("--repetitions", "3", "--words", "rise,fall", of=[manifest])[1])
    (result,) = document["results"]
    assert (document["lists"], result["labeled"], result["tested"]) == ("clips", 4, 4)
    assert result["confusion"]["rows"] == ["fall", "rise"]


def test_splits_of_a_manifest(run, corpus):
    file = corpus[1] / "manifest.tsv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line.replace("test", "val") if "voice3" in line else line for line in lines) + "\n")
    _, out = run("--train-split", "test", "--test-split", "val", "--labels", "3", of=[str(file)])
    assert results_of(out)["results"][0]["tested"] == 3
    assert results_of(run("--split", "test,val", of=[str(file)])[1])["results"][0]["tested"] == 6
    with pytest.raises(InputError, match="split 'dev'"):
        run("--train-split", "test", "--test-split", "dev", of=[str(file)])


def test_embeddings_are_kept_and_reused(run, tmp_path, stand_in, monkeypatch):
    kept = ["--vectors", str(tmp_path / "vectors.npz")]
    first = results_of(run(*kept)[1])["results"]
    monkeypatch.setattr(stand_in, "embed_batch", lambda waves: pytest.fail(f"{len(waves)} embedded a second time"))
    assert results_of(run(*kept)[1])["results"] == first
    with pytest.raises(InputError, match=r"vectors\.npz"):
        run(*kept, "--spoken")


def test_embeddings_of_a_folder_with_the_same_names_are_not_reused(run, corpus, tmp_path):
    kept = ["--vectors", str(tmp_path / "vectors.npz")]
    lists, clips = corpus
    run(*kept)
    other = shutil.copytree(clips, tmp_path / "other")
    for path in other.glob("rise/*.wav"):
        shutil.copy(other / "fall" / path.name, path)
    of = [str(lists / "labeled.txt"), str(lists / "test.txt"), "--audio", str(other)]
    fresh = results_of(run(of=of)[1])["results"]
    assert results_of(run(*kept, of=of)[1])["results"] == fresh
    assert results_of(run(*kept)[1])["results"] != fresh


@pytest.mark.parametrize(
    ("words", "of", "named"),
    [
        (["--labels", "five"], None, "--labels"),
        (["--labels", "0"], None, "--labels"),
        (["--labels", "3"], None, "2 clips"),
        (["--train-split", "train", "--test-split", "val"], None, "--train-split"),
        ([], ["labeled.txt"], "labeled.txt"),
        ([], ["manifest.tsv", "test.txt"], "manifest.tsv"),
        (["--train-split", "val"], ["manifest.tsv"], "--test-split"),
        (["--train-split", "val", "--test-split", "test", "--split", "a"], ["manifest.tsv"], "--split"),
        (["--encoder", "mfcc+conv1d"], None, "--probe"),
        (["--encoder", "mfcc", "--spoken"], None, "--spoken"),
    ],
)
def test_wrong_combinations_name_the_option(run, words, of, named):
    with pytest.raises(InputError, match=named):
        run(*words, **({} if of is None else {"of": of}))


@pytest.mark.parametrize(("encoder", "probe", "by"), [("mfcc", "dense", "dense"), ("mfcc+conv1d", None, "conv1d")])
def test_mfcc_are_evaluated_as_published(run, encoder, probe, by):
    result, out = run("--encoder", encoder, "--labels", "2", "--repetitions", "1", probe=probe)
    assert result.exit_code == 0
    document = results_of(out)
    assert (document["encoder"]["name"], document["classifier"]) == ("mfcc", by)


def test_help_shows_an_example():
    result = CliRunner().invoke(app, ["probe", "--help"])
    assert "Example: earmark evaluate probe arabic_commands/manifest.tsv" in result.stdout
