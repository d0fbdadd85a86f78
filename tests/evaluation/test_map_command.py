import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark import audio
from earmark.cli import app as whole_app
from earmark.cli.evaluate import app, encoders
from earmark.core.errors import EarmarkError, InputError
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.evaluation.dtw import MOST_SEQUENCES
from earmark.evaluation.embedders import EncoderEmbedder
from earmark.evaluation.plots import average_precision_plot, save


@pytest.fixture
def corpus(tmp_path, say):
    """Three words by four voices: one recording per voice, and a list and a manifest of all words."""
    lines, clips = [], []
    for seed in range(4):
        words = ("rise", "fall", "bow")
        audio.write(tmp_path / f"{seed}.wav", np.concatenate([say(word, seed=seed) for word in words]))
        for place, word in enumerate(words):
            start_s = round(1.4 * place + 0.4, 2)
            lines.append(f"{seed}.wav voice{seed} 0 4.2 {start_s} {start_s + 0.6:.2f} {word}")
            audio.write(tmp_path / f"{word}_{seed}.wav", say(word, seed=seed))
            clips.append(Clip(f"{word}_{seed}.wav", speaker=f"voice{seed}", label=word, split="test"))
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    write_manifest(Manifest((*clips, Clip("noise.wav", split="noise")), tmp_path), tmp_path / "words.tsv")
    return tmp_path


@pytest.fixture
def run(corpus, monkeypatch, stand_in):
    """`run("map", …)`: the command with the stand-in encoder."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(encoders, "load", lambda *_, **__: EncoderEmbedder(stand_in))

    def invoke(*words):
        result = CliRunner().invoke(app, [str(word) for word in ("map", *words)], catch_exceptions=False)
        return result, corpus / "out"

    return invoke


def test_map_of_a_list_compares_encoders_and_writes_table_results_and_plot(run, corpus):
    call = (corpus / "list.txt", "--audio", corpus, "--out", corpus / "out", "--published")
    result, out = run(*call, "--encoder", "base", "--encoder", "log-mel-mean", "--encoder", "dtw")
    assert result.exit_code == 0, result.output
    assert "12 segments, 3 labels, 4 speakers" in result.stdout
    names = {"table.md", "results.json", "map.png", "embeddings-stand-in.npz", "embeddings-log-mel-mean.npz"}
    assert {path.name for path in out.iterdir()} == names
    document = json.loads((out / "results.json").read_text())
    assert document["kind"] == "map"
    assert [entry["encoder"]["name"] for entry in document["results"]] == ["stand-in", "log-mel-mean", "log-mel DTW"]
    first = document["results"][0]
    assert first["rankings"]["across"]["map"]["value"] > 0.9
    assert first["rankings"]["across"]["queries"] == 12
    assert first["rankings"]["across"]["depth"] == 3
    assert first["rankings"]["within"]["map"]["value"] is None  # every voice says each word once
    assert first["rankings"]["published"]["depth"] == 4
    assert first["labels"]["rise"]["tokens"] == 4
    table = (out / "table.md").read_text()
    assert "| stand-in | other speakers | 12 |" in table
    assert "own speaker" not in table


def test_map_of_a_manifest_takes_whole_recordings_as_segments(run, corpus):
    result, out = run(corpus / "words.tsv", "--out", corpus / "out")
    assert result.exit_code == 0, result.output
    document = json.loads((out / "results.json").read_text())
    assert document["segments"] == 12  # noise is left out
    assert document["results"][0]["rankings"]["across"]["map"]["value"] > 0.9


def test_warping_of_too_many_segments_is_refused_before_they_are_read(run, corpus):
    lines = (corpus / "list.txt").read_text()
    (corpus / "list.txt").write_text(lines * (1 + MOST_SEQUENCES // 12))
    with pytest.raises(InputError, match="3012 segments"):
        run(corpus / "list.txt", "--audio", corpus, "--out", corpus / "out", "--encoder", "dtw")


def test_segments_without_labels_are_refused(run, corpus):
    lines = ["0.wav voice0 0 4.2 0.4 1.0 rise\n", "0.wav voice0 0 4.2 1.8 2.4 "]
    for label, problem in {
        "NOTRANS": r"grid\.txt: segment 2 of 2, 0\.wav",
        "fall": r"grid\.txt: all 2 segments",
    }.items():
        (corpus / "grid.txt").write_text("".join(lines) + f"{label}\n")
        with pytest.raises(InputError, match=problem):
            run(corpus / "grid.txt", "--audio", corpus, "--out", corpus / "out")
    write_manifest(Manifest((Clip("noise.wav", split="noise"),), corpus), corpus / "noise.tsv")
    with pytest.raises(InputError, match=r"noise\.tsv"):
        run(corpus / "noise.tsv", "--out", corpus / "out")
    assert not (corpus / "out").exists()  # before any work


def test_a_full_disk_is_an_error_that_names_the_file(run, corpus, tiny_files):
    call = (corpus / "list.txt", "--audio", corpus, "--out", corpus / "out")
    with tiny_files(2000), pytest.raises(EarmarkError, match=r"out/\.?embeddings"):
        run(*call)
    assert not list((corpus / "out").iterdir())
    for suffix in (".npz", ".parquet"):
        words = ["embed", str(corpus / "list.txt"), "--audio", str(corpus), "--out", str(corpus / f"e{suffix}")]
        with tiny_files(2000), pytest.raises(EarmarkError, match=r"e(\.unfinished)?\.\w+: cannot be written"):
            CliRunner().invoke(whole_app, words, catch_exceptions=False)
        assert not list(corpus.glob("*e.*"))


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_embed_writes_the_segments_of_a_list(run, corpus, suffix):
    del run
    out = corpus / f"e{suffix}"
    words = ["embed", str(corpus / "list.txt"), "--audio", str(corpus), "--out", str(out)]
    result = CliRunner().invoke(whole_app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"{out}: 12 embeddings by stand-in" in result.stdout
    if suffix == ".npz":
        with np.load(out, allow_pickle=False) as stored:
            labels, vectors = stored["labels"].tolist(), stored["vectors"]
    else:
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        labels, vectors = table["label"].to_pylist(), np.array(table["vector"].to_pylist())
    assert labels == ["rise", "fall", "bow"] * 4
    assert vectors.shape == (12, 60)


@pytest.mark.parametrize(
    ("words", "named"), [(["--out", "e.csv"], "e.csv"), (["--out", "e.npz", "--encoder", "dtw"], "--encoder")]
)
def test_embed_refuses_what_it_cannot_write(run, corpus, words, named):
    del run
    call = ["embed", str(corpus / "list.txt"), "--audio", str(corpus), *words]
    with pytest.raises(InputError, match=named):
        CliRunner().invoke(whole_app, call, catch_exceptions=False)


def test_many_labels_are_drawn_by_frequency_and_few_by_name():
    few = average_precision_plot({"a": {"yes": (5, 0.4), "no": (3, 0.9)}, "b": {"yes": (5, 0.5)}}, title="t")
    assert [label.get_text() for label in few.axes[0].get_yticklabels()] == ["yes  (5)", "no  (3)"]
    many: Any = average_precision_plot({"a": {f"w{number}": (number + 2, 0.3) for number in range(100)}})
    assert many.axes[0].get_xscale() == "log"
    (dots,) = [line for line in many.axes[0].lines if len(line.get_xdata()) > 2]
    np.testing.assert_allclose(dots.get_ydata(), 30)


def test_rare_labels_have_an_axis_with_numbers(tmp_path):
    figure = average_precision_plot({"a": {f"w{number}": (2 + number % 8, 0.3) for number in range(100)}})
    save(figure, tmp_path / "map.png")
    low, high = figure.axes[0].get_xlim()
    shown = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert len(shown) >= 2


def test_words_of_any_script_are_drawn_without_a_warning(tmp_path):
    figure = average_precision_plot({"a": {"数字": (5, 0.4), "نعم": (3, 0.9)}})
    save(figure, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 5000
