import errno
import json

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.data.lists.segment_pairs import read_segment_pairs
from earmark.data.manifest import read_manifest
from earmark.evaluation.embedders import EncoderEmbedder
from earmark.evaluation.segment_embeddings import segment_embedder
from earmark.training.mining import mining, report, shards
from earmark.training.mining.settings import MiningSettings
from earmark.training.mining.shards import store_embeddings

WORDS = ("rise", "fall", "bow")


class CountingEmbedder:
    """An embedder that records the files it embeds, and is interrupted at one of them."""

    def __init__(self, embedder, interrupt_at=None):
        self.embedder, self.interrupt_at, self.files = embedder, interrupt_at, []
        self.name, self.fingerprint = embedder.name, embedder.fingerprint

    def embed_file(self, path, spans):
        self.files.append(path.name)
        if path.name == self.interrupt_at:
            raise KeyboardInterrupt
        return self.embedder.embed_file(path, spans)


@pytest.fixture
def corpus(tmp_path, say):
    """Three words by each of four speakers, one recording per speaker; and a list of them with overlapping segments."""
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
def embedder(stand_in):
    return CountingEmbedder(segment_embedder(EncoderEmbedder(stand_in)))


@pytest.fixture
def mine(corpus, embedder):
    """`mine(relation="same")`: mine the list of the corpus into the folder out."""

    def run(source="list.txt", audio=corpus, embedder=embedder, snippets=False, **settings):
        return mining.mine(
            corpus / source, embedder, corpus / "out", MiningSettings(**settings), audio=audio, snippets=snippets
        )

    return run


def test_words_of_other_speakers_are_paired_without_labels(mine):
    result = mine(relation="across", coverage=1, neighbors=3, snippets=True)
    out = result.out
    document = json.loads((out / "results.json").read_text())
    assert document["kind"] == "mining"
    assert (document["segments"], document["speakers"], document["recall"]) == (16, 4, 1.0)
    assert document["pairs"]["same_speaker"] == 0
    assert document["pairs"]["purity"] > 0.9 > document["chance"]
    assert document["coverage"] == result.coverage == 1
    pairs = list(read_segment_pairs(out / "pairs.txt", audio=out.parent))
    manifest = read_manifest(out / "pairs.parquet")
    assert 2 * document["pairs"]["pairs"] == 2 * len(pairs) == len(manifest)
    assert all(pair.first.speaker != pair.second.speaker for pair in pairs)
    assert all(manifest.locate(clip).is_file() for clip in manifest)
    examples = document["examples"]
    assert [one["similarity"] for one in examples] == sorted((one["similarity"] for one in examples), reverse=True)
    snippets = sorted((out / "listen").iterdir())
    assert len(snippets) == len(examples)
    assert audio.duration_s(snippets[0]) == pytest.approx(1.68, abs=0.05)
    assert examples[0]["first"]["path"] in (out / "report.md").read_text()
    assert (out / "similarities.png").stat().st_size > 1000 < (out / "coverage.png").stat().st_size


def test_a_run_with_other_settings_embeds_nothing_again(mine, embedder):
    mine(mutual=True)
    embedder.files.clear()
    result = mine(relation="same", coverage=0.7, neighbors=4)
    assert not embedder.files
    assert result.counts.across_speakers == 0 < result.counts.same_speaker
    # The two segments of a word that overlap are never a pair.
    for pair in read_segment_pairs(result.out / "pairs.txt"):
        assert min(pair.first.end_s, pair.second.end_s) <= max(pair.first.start_s, pair.second.start_s)


def test_an_interrupted_run_embeds_only_missing_shards(corpus, embedder):
    def store(interrupt_at=None):
        embedder.interrupt_at = interrupt_at
        folder, settings = corpus / "segments", MiningSettings()
        return store_embeddings(corpus / "list.txt", embedder, folder, settings, audio=corpus, shard_rows=4)

    with pytest.raises(KeyboardInterrupt):
        store(interrupt_at="2.wav")
    assert len(list((corpus / "segments").glob("shard-*"))) == 2
    assert len(store().rows) == 16
    assert embedder.files == ["0.wav", "1.wav", "2.wav", "2.wav", "3.wav"]


def test_of_many_segments_a_sample_is_mined_and_long_ones_are_dropped(mine):
    result = mine(most_segments=7, longest_s=0.65)
    assert (result.segments, result.not_drawn, result.left_out) == (7, 9, 0)


def test_a_broken_line_is_an_error_before_any_work_and_the_folder_is_usable_afterward(mine, corpus, embedder):
    whole = (corpus / "list.txt").read_text()
    (corpus / "list.txt").write_text(whole + "0.wav voice0 0 4.2 3.0 2.0 rise\n")
    with pytest.raises(InputError, match=r"list\.txt:17"):
        mine()
    assert not embedder.files
    (corpus / "list.txt").write_text(whole)
    assert mine().segments == 16


def test_embeddings_of_another_encoder_are_refused(mine, stand_in):
    mine()
    other = type(stand_in)(name="other", fingerprint="0" * 48)
    with pytest.raises(InputError, match=r"encoder.*other"):
        mine(embedder=segment_embedder(EncoderEmbedder(other)))


def test_embeddings_of_another_corpus_are_refused(mine, corpus):
    mine()
    other = corpus / "other"
    other.mkdir()
    for file in corpus.glob("*.wav"):
        audio.write(other / file.name, audio.read(file)[::-1])
    with pytest.raises(InputError, match="corpus"):
        mine(audio=other)


def test_a_folder_of_an_earlier_version_is_used(mine, corpus, embedder):
    result = mine()
    stamp = json.loads((corpus / "out" / "segments" / "stamp.json").read_text())
    # These keys are in the folders that earlier versions wrote.
    assert {*stamp} == {
        "encoder",
        "fingerprint",
        "list",
        "corpus",
        "split",
        "most_segments",
        "longest_s",
        "seed",
    }
    embedder.files.clear()
    assert mine().counts == result.counts
    assert not embedder.files


def test_names_with_any_white_space_are_in_the_manifest_only(mine, corpus):
    header = "path\tstart_s\tend_s\tspeaker"
    lines = [f"{n}.wav\t0.4\t1.0\tvoice{n}" for n in range(4)]
    (corpus / "3.wav").rename(corpus / "日本\u3000語.wav")
    lines[3] = lines[3].replace("3.wav", "日本\u3000語.wav")
    (corpus / "words.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    result = mine("words.tsv", audio=None)
    assert not result.has_list
    assert not (corpus / "out" / "pairs.txt").exists()
    assert "pairs.txt" in (corpus / "out" / "report.md").read_text()
    assert len(read_manifest(corpus / "out" / "pairs.parquet")) > 0


def test_a_list_without_neighbors_is_refused(mine, corpus):
    (corpus / "one.txt").write_text("0.wav voice0 0 4.2 0.4 1.0 rise\n0.wav voice0 0 4.2 1.8 2.4 fall\n")
    with pytest.raises(InputError, match=r"one\.txt: no segment has a neighbor"):
        mine("one.txt", relation="across")


@pytest.mark.parametrize(
    ("module", "writer"), [(shards, "write_array"), (mining, "write_segment_pairs"), (report, "write_results")]
)
def test_a_full_disk_leaves_no_half_written_output(mine, corpus, monkeypatch, module, writer):
    write = getattr(module, writer)

    def full(*words, **how):
        write(*words, **how)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, writer, full)
        with pytest.raises(EarmarkError, match="No space left on device"):
            mine()
    assert not (corpus / "out" / "results.json").exists()
    assert not (corpus / "out" / "report.md").exists()
    assert not list((corpus / "out").rglob("*partial*"))
    mine()
    assert (corpus / "out" / "results.json").exists()


def test_defaults_are_the_published_ones():
    settings = MiningSettings()
    assert (settings.neighbors, settings.dimension, settings.coverage, settings.bin_width) == (10, 128, 0.5, 0.01)
    assert (settings.pca_rows, settings.most_segments, settings.longest_s) == (1_000_000, 4_000_000, 2.0)
