import errno
import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark import audio
from earmark.cli import app, main
from earmark.cli.evaluate import encoders
from earmark.data.lists.segment_pairs import read_segment_pairs
from earmark.data.manifest import read_manifest
from earmark.evaluation.embedders import EncoderEmbedder
from earmark.training.mining import MiningSettings, mining, shards

WORDS = ("rise", "fall", "bow")


@pytest.fixture
def corpus(tmp_path, say):
    """Three words by four voices: each voice's words in one recording, and a list of them, and one that overlaps."""
    lines = []
    for seed in range(4):
        audio.write(tmp_path / f"{seed}.wav", np.concatenate([say(word, seed=seed) for word in WORDS]))
        for place, word in enumerate(WORDS):
            start_s = round(1.4 * place + 0.4, 2)
            lines.append(f"{seed}.wav voice{seed} 0 4.2 {start_s} {start_s + 0.6:.2f} {word}")
        lines.append(f"{seed}.wav voice{seed} 0 4.2 0.42 1.02 rise")
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def run(corpus, monkeypatch, stand_in):
    """`run("--across-speakers")`: the command with the stand-in encoder; what it printed, and its folder."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(encoders, "load", lambda *_, **__: EncoderEmbedder(stand_in))

    def invoke(*words, source="list.txt"):
        call = ["mine", str(corpus / source), "--audio", str(corpus), "--out", str(corpus / "out"), *words]
        return CliRunner().invoke(app, call, catch_exceptions=False), corpus / "out"

    return invoke


@pytest.fixture
def error_of(corpus, monkeypatch, stand_in, capsys):
    """`error_of("--any")`: exit code and the one line of the command's error."""
    monkeypatch.setattr(encoders, "load", lambda *_, **__: EncoderEmbedder(stand_in))

    def invoke(*words, source="list.txt"):
        call = ["earmark", "mine", str(corpus / source), "--audio", str(corpus), "--out", str(corpus / "out"), *words]
        monkeypatch.setattr(sys, "argv", call)
        with pytest.raises(SystemExit) as stop:
            main()
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return stop.value.code, lines[0]

    return invoke


def test_words_of_other_speakers_are_paired_without_labels(run):
    result, out = run("--across-speakers", "--snippets", "--coverage", "1", "-k", "3")
    assert result.exit_code == 0, result.output
    assert "blindly" in result.stdout
    document = json.loads((out / "results.json").read_text())
    assert document["kind"] == "mining"
    assert (document["segments"], document["speakers"], document["recall"]) == (16, 4, 1.0)
    assert document["pairs"]["same_speaker"] == 0
    assert document["pairs"]["purity"] > 0.9 > document["chance"]
    assert document["coverage"] == 1
    pairs = list(read_segment_pairs(out / "pairs.txt", audio=out.parent))
    manifest = read_manifest(out / "pairs.parquet")
    assert 2 * document["pairs"]["pairs"] == 2 * len(pairs) == len(manifest)
    assert all(pair.first.speaker != pair.second.speaker for pair in pairs)
    assert all(manifest.locate(clip).is_file() for clip in manifest)
    examples = document["examples"]
    assert [one["similarity"] for one in examples] == sorted((one["similarity"] for one in examples), reverse=True)
    heard = sorted((out / "listen").iterdir())
    assert len(heard) == len(examples)
    assert audio.duration_s(heard[0]) == pytest.approx(1.68, abs=0.05)
    report = (out / "report.md").read_text()
    assert "## Examples" in report
    assert (out / "similarities.png").stat().st_size > 1000 < (out / "coverage.png").stat().st_size


def test_other_settings_take_over_the_embeddings(run, monkeypatch):
    result, out = run("--any", "--mutual")
    assert result.exit_code == 0, result.output
    monkeypatch.setattr(shards, "embed_stream", None)  # is not called again
    result, _ = run("--same-speaker", "--coverage", "0.7", "--set", "neighbors=4")
    assert result.exit_code == 0, result.output
    document = json.loads((out / "results.json").read_text())
    assert document["settings"]["relation"] == "same"
    assert document["pairs"]["across_speakers"] == 0 < document["pairs"]["same_speaker"]
    # One word of a voice is like no other; the two that overlap never make a pair.
    for pair in read_segment_pairs(out / "pairs.txt"):
        assert min(pair.first.end_s, pair.second.end_s) <= max(pair.first.start_s, pair.second.start_s)


def test_an_interrupted_run_embeds_only_what_is_missing(run, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 4)
    embed, heard = shards.embed_stream, []

    def stopped(clips, *words):
        for some, vectors in embed(clips, *words):
            heard.append(some[0].path)
            if len(heard) == 3:
                raise KeyboardInterrupt
            yield some, vectors

    monkeypatch.setattr(shards, "embed_stream", stopped)
    result, out = run()
    assert result.exit_code == 130
    assert len(list((out / "segments").glob("shard-*"))) == 2
    assert not (out / "pairs.txt").exists()
    result, _ = run()
    assert result.exit_code == 0, result.output
    assert heard == ["0.wav", "1.wav", "2.wav", "2.wav", "3.wav"]
    assert json.loads((out / "results.json").read_text())["segments"] == 16


def test_of_many_segments_some_are_drawn_and_long_ones_left_out(run):
    result, out = run("--set", "most_segments=7", "--set", "longest_s=0.65")
    assert result.exit_code == 0, result.output
    document = json.loads((out / "results.json").read_text())
    assert (document["segments"], document["not_drawn"], document["left_out"]) == (7, 9, 0)
    assert "9" in (out / "report.md").read_text()


def test_a_broken_list_is_told_before_the_work(error_of, corpus):
    text = (corpus / "list.txt").read_text()
    (corpus / "broken.txt").write_text(text + "0.wav voice0 0 4.2 3.0 2.0 rise\n")
    code, line = error_of(source="broken.txt")
    assert code == 2
    assert "broken.txt:17: seg_end 2 is not after seg_start 3" in line
    assert not list((corpus / "out" / "segments").glob("shard-*"))


def test_embeddings_of_another_encoder_are_not_mixed_in(error_of, run, monkeypatch, stand_in):
    assert run()[0].exit_code == 0
    other = type(stand_in)(name="other", fingerprint="0" * 48)
    monkeypatch.setattr(encoders, "load", lambda *_, **__: EncoderEmbedder(other))
    code, line = error_of()
    assert code == 2
    assert "holds embeddings of another encoder (stand-in, now other); name another --out" in line


def test_embeddings_of_another_corpus_are_not_taken_for_these(run, error_of, corpus):
    assert run()[0].exit_code == 0
    other = corpus / "other"
    other.mkdir()
    for file in corpus.glob("*.wav"):
        audio.write(other / file.name, audio.read(file)[::-1])
    code, line = error_of("--audio", str(other))
    assert code == 2
    assert f"holds embeddings of another corpus ({corpus}, now {other}); name another --out" in line


def test_a_list_that_was_mended_is_mined_into_the_same_folder(run, error_of, corpus):
    whole = (corpus / "list.txt").read_text()
    (corpus / "list.txt").write_text(whole.replace("0.4 1.00", "1.0 0.40", 1))
    code, line = error_of()
    assert code == 2
    assert "list.txt:1: seg_end 0.4 is not after seg_start 1" in line
    (corpus / "list.txt").write_text(whole)
    assert run()[0].exit_code == 0


@pytest.mark.usefixtures("run")
def test_names_with_any_white_space_stand_in_the_manifest_alone(corpus):
    header = "path\tstart_s\tend_s\tspeaker"
    lines = [f"{n}.wav\t0.4\t1.0\tvoice{n}" for n in range(4)]
    (corpus / "3.wav").rename(corpus / "日本\u3000語.wav")
    lines[3] = lines[3].replace("3.wav", "日本\u3000語.wav")
    (corpus / "words.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    result = CliRunner().invoke(
        app, ["mine", str(corpus / "words.tsv"), "--out", str(corpus / "out")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert not (corpus / "out" / "pairs.txt").exists()
    assert "There is no pairs.txt" in (corpus / "out" / "report.md").read_text()
    assert len(read_manifest(corpus / "out" / "pairs.parquet")) > 0


def test_a_list_without_neighbors_says_what_to_do(error_of, corpus):
    (corpus / "one.txt").write_text("0.wav voice0 0 4.2 0.4 1.0 rise\n0.wav voice0 0 4.2 1.8 2.4 fall\n")
    code, line = error_of("--across-speakers", source="one.txt")
    assert code == 2
    assert "no segment has a neighbor among those of other speakers; list segments of more speakers" in line


def test_two_relations_at_once_are_refused(error_of):
    code, line = error_of("--any", "--same-speaker")
    assert code == 2
    assert "one of them, not several" in line


def test_an_unknown_setting_is_told(error_of):
    code, line = error_of("--set", "neigbors=3")
    assert code == 2
    assert "did you mean 'neighbors'" in line


@pytest.mark.parametrize("stage", ["write_array", "write_segment_pairs", "write_results"])
def test_a_full_disk_leaves_no_half_written_output(error_of, run, corpus, monkeypatch, stage):
    module = shards if stage == "write_array" else mining
    write = getattr(module, stage)

    def full(*words, **how):
        write(*words, **how)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, stage, full)
    code, line = error_of()
    assert code == 1
    assert "cannot be written (No space left on device)" in line
    assert not (corpus / "out" / "results.json").exists()
    assert not (corpus / "out" / "report.md").exists()
    assert not list((corpus / "out").rglob("*partial*"))
    monkeypatch.setattr(module, stage, write)
    result, out = run()
    assert result.exit_code == 0, result.output
    assert (out / "results.json").exists()


def test_defaults_are_the_published_ones():
    settings = MiningSettings()
    assert (settings.neighbors, settings.dimension, settings.coverage, settings.bin_width) == (10, 128, 0.5, 0.01)
    assert (settings.pca_rows, settings.most_segments, settings.longest_s) == (1_000_000, 4_000_000, 2.0)
