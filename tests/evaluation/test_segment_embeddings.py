import sys
from dataclasses import dataclass

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError, MissingPackage
from earmark.data.audio_folder import AudioFolder
from earmark.data.embedding_tables import write_table
from earmark.data.manifest import Clip
from earmark.evaluation.embedders import EncoderEmbedder
from earmark.evaluation.segment_embeddings import (
    CropEmbedder,
    LogMelMean,
    WindowEmbedder,
    bounds_of,
    embed_all,
    embed_stream,
    mel_frames,
    segment_embedder,
)
from earmark.spotting.keyword import embed_part


@pytest.fixture
def recordings(tmp_path, say):
    """Two recordings of two words each."""
    for seed, name in enumerate("ab"):
        audio.write(tmp_path / f"{name}.wav", np.concatenate([say("rise", seed=seed), say("fall", seed=seed)]))
    return AudioFolder(tmp_path)


CLIPS = [
    Clip("b.wav", 0.4, 1.0, "bob", "rise"),
    Clip("a.wav", 1.8, 2.4, "anna", "fall"),
    Clip("b.wav", 1.8, 2.4, "bob", "fall"),
    Clip("a.wav", 0.4, 1.0, "anna", "rise"),
]


@dataclass(frozen=True)
class Counting:
    """A segment embedder that counts how often each recording is embedded."""

    inner: WindowEmbedder
    embedded: list[str]
    name: str = "counting"
    fingerprint: str = "1"

    def embed_file(self, path, spans):
        self.embedded.append(path.name)
        return self.inner.embed_file(path, spans)


def test_segments_are_embedded_with_context_like_takes(recordings, stand_in):
    path = recordings.locate("a.wav")
    found = WindowEmbedder(stand_in).embed_file(path, [(0.4, 1.0), (1.8, 2.4)])
    wave = audio.read(path)
    for row, span in zip(found, [(0.4, 1.0), (1.8, 2.4)], strict=True):
        np.testing.assert_allclose(row, embed_part(stand_in, wave, *span), atol=1e-6)


@pytest.mark.parametrize("spoken", [True, False])
def test_a_recording_without_times_is_embedded_whole_or_cut_to_its_spoken_part(tmp_path, say, stand_in, spoken):
    audio.write(tmp_path / "one.wav", say("rise"))
    found = segment_embedder(EncoderEmbedder(stand_in), spoken=spoken).embed_file(tmp_path / "one.wav", [(0.0, None)])
    span = (0.37, 1.03) if spoken else (0.0, 1.4)
    np.testing.assert_allclose(found[0], embed_part(stand_in, audio.read(tmp_path / "one.wav"), *span), atol=0.02)


def test_other_encoders_embed_the_segment_without_context(recordings, stand_in):
    (row,) = CropEmbedder(EncoderEmbedder(stand_in, spoken=False)).embed_file(recordings.locate("a.wav"), [(0.4, 1.0)])
    wave = audio.read(recordings.locate("a.wav"))[6400:16000]
    np.testing.assert_allclose(row, stand_in.embed(wave), atol=1e-6)


def test_log_mel_means_of_one_word_are_closer_than_those_of_two(recordings):
    rows = np.concatenate(
        [LogMelMean().embed_file(recordings.locate(f"{name}.wav"), [(0.4, 1.0), (1.8, 2.4)]) for name in "ab"]
    )
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert (unit @ unit.T)[0, 2] > (unit @ unit.T)[0, [1, 3]].max()


def test_centered_frames_have_no_mean(recordings):
    (frames,) = mel_frames(recordings.locate("a.wav"), [(0.4, 1.0)], centered=True)
    assert frames.shape == (60, 40)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)


def test_each_recording_is_read_once_and_rows_have_the_order_of_the_list(recordings, stand_in, tmp_path):
    embedder = Counting(WindowEmbedder(stand_in), [])
    found = embed_all(CLIPS, recordings, embedder, tmp_path / "e.npz")
    assert embedder.embedded == ["a.wav", "b.wav"]
    for clip, row in zip(CLIPS, found, strict=True):
        (plain,) = WindowEmbedder(stand_in).embed_file(recordings.locate(clip.path), [(clip.start_s, clip.end_s)])
        np.testing.assert_allclose(row, plain, atol=1e-6)
    with np.load(tmp_path / "e.npz", allow_pickle=False) as stored:
        assert stored["paths"].tolist() == [clip.path for clip in CLIPS]
        assert stored["labels"].tolist() == [clip.label for clip in CLIPS]
        assert stored["speakers"].tolist() == [clip.speaker for clip in CLIPS]
        np.testing.assert_array_equal(stored["vectors"], found)


def test_embeddings_in_the_file_are_reused_unless_the_list_changes(recordings, stand_in, tmp_path):
    embedder = Counting(WindowEmbedder(stand_in), [])
    first = embed_all(CLIPS, recordings, embedder, tmp_path / "e.npz")
    np.testing.assert_array_equal(embed_all(CLIPS, recordings, embedder, tmp_path / "e.npz"), first)
    assert len(embedder.embedded) == 2
    embed_all(CLIPS[:2], recordings, embedder, tmp_path / "e.npz")
    assert len(embedder.embedded) == 4


def test_an_interrupted_call_continues_with_the_next_recording(recordings, stand_in, tmp_path):
    embedder = Counting(WindowEmbedder(stand_in), [])

    def stop(_stage, done, _total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_all(CLIPS, recordings, embedder, tmp_path / "e.npz", progress=stop)
    assert not (tmp_path / "e.npz").exists()
    found = embed_all(CLIPS, recordings, embedder, tmp_path / "e.npz")
    assert embedder.embedded == ["a.wav", "b.wav"]
    np.testing.assert_array_equal(found, embed_all(CLIPS, recordings, embedder, tmp_path / "other.npz"))
    assert sorted(path.name for path in tmp_path.glob("*npz")) == ["e.npz", "other.npz"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (Clip("a.wav", 2.5, 3.5), r"a\.wav.* 2\.5 to 3\.5 s"),
        (Clip("a.wav", 5.0), r"ends at 2\.80 s"),
        (Clip("a.wav", 1.0, 1.01), "from 1 s on lasts 10 ms"),
        (Clip("c.wav"), r"c\.wav is missing"),
    ],
)
@pytest.mark.parametrize(
    "make", [WindowEmbedder, lambda encoder: CropEmbedder(EncoderEmbedder(encoder)), lambda _: LogMelMean()]
)
def test_segments_outside_of_the_recording_are_refused(recordings, stand_in, make, clip, words):
    with pytest.raises(InputError, match=words):
        list(embed_stream([clip], recordings, make(stand_in)))


def test_no_segments_have_no_bounds(recordings):
    assert bounds_of(recordings.locate("a.wav"), [], 16_000).shape == (0, 2)


def test_a_silent_segment_is_an_error_that_names_its_times(tmp_path):
    audio.write(tmp_path / "mute.wav", np.zeros(16_000, np.float32))
    with pytest.raises(InputError, match=r"mute\.wav.*0\.2 s to 0\.5 s"):
        list(embed_stream([Clip("mute.wav", 0.2, 0.5)], AudioFolder(tmp_path), LogMelMean()))


def test_a_table_is_written_in_row_groups_in_the_order_of_the_list(recordings, stand_in, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    clips = [*CLIPS, Clip("a.wav", label="whole")]
    embedded = embed_stream(iter(clips), recordings, WindowEmbedder(stand_in))
    assert write_table(tmp_path / "e.parquet", embedded, {"encoder": "x"}, rows=2) == 5
    file = parquet.ParquetFile(tmp_path / "e.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 2, 1]
    assert file.schema_arrow.metadata[b"earmark.encoder"] == b"x"
    rows = file.read().to_pylist()
    assert [row["label"] for row in rows] == ["rise", "fall", "fall", "rise", "whole"]
    assert rows[-1]["end_s"] is None
    (plain,) = WindowEmbedder(stand_in).embed_file(recordings.locate("b.wav"), [(1.8, 2.4)])
    np.testing.assert_allclose(rows[2]["vector"], plain, atol=1e-6)


def test_an_unfinished_table_is_not_written(recordings, stand_in, tmp_path):
    pytest.importorskip("pyarrow")
    clips = [*CLIPS, Clip("absent.wav")]
    with pytest.raises(InputError, match="is missing"):
        write_table(tmp_path / "e.parquet", embed_stream(clips, recordings, WindowEmbedder(stand_in)), {}, rows=1)
    assert not [path for path in tmp_path.iterdir() if "parquet" in path.name]


def test_without_pyarrow_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingPackage) as caught:
        write_table(tmp_path / "e.parquet", [], {})
    assert (caught.value.package, caught.value.extra) == ("pyarrow", "data")
    assert ".npz" in caught.value.alternative
