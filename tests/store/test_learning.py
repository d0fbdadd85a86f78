"""What a store keeps of a user's corrections: changes to undo, negatives, near misses, the last detection."""

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.core.audio import pack
from earmark.core.errors import InputError
from earmark.spotting.keyword import Keyword
from earmark.spotting.keyword_calibration import BackgroundTail, KeywordCalibration, Logistic, VerifierCalibration
from earmark.spotting.near_miss import NearMiss
from earmark.spotting.negative import Negative
from earmark.spotting.speaker import Speaker
from earmark.spotting.takes import Take
from earmark.spotting.verifier_scores import VerifierEmbeddings
from earmark.store.near_miss_rows import LastDetection
from earmark.store.store import KeywordNotFound, KeywordStore, NameTaken


def sound(seed: int) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(3_000)).clip(-1, 0.999).astype(np.float32)


def unit_rows(*shape: int) -> np.ndarray:
    rows = np.random.default_rng(shape[0]).standard_normal((*shape, 8))
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def keyword(name: str = "jarvis", negatives: int = 0) -> Keyword:
    parts = unit_rows(2, 7)
    return Keyword(
        name=name,
        takes=tuple(Take(sound(i), 0.1, 0.15, f"take {i}.wav") for i in range(2)),
        embeddings=parts[:, 0],
        parts=parts,
        duration_s=0.05,
        threshold=0.6,
        encoder="abc123",
        rate=0.5,
        negatives=tuple(Negative(sound(10 + i), 0.1, 0.15, "kitchen.wav", created="2026") for i in range(negatives)),
        negative_parts=unit_rows(negatives, 7) if negatives else None,
    )


def near_miss(seed: int) -> NearMiss:
    return NearMiss(sound(seed), 0.05, 0.12, "room.wav at 12:03", score=0.55, created="2026")


def last(path: Path) -> LastDetection:
    return LastDetection(str(path), 1.0, 1.6, created="2026")


def test_parts_negatives_and_calibration_are_read_as_they_were_saved(store: KeywordStore):
    calibration = KeywordCalibration(
        origin="room",
        tail=BackgroundTail(level=0.5, scale=0.04, count=40, hours=1.0),
        expected_misses=0.1,
        logistic=Logistic(slope=20.0, offset=0.6),
    )
    saved = replace(keyword(negatives=2), calibration=calibration)
    store.save(saved)
    got = store.get("jarvis")
    assert got.calibration == calibration
    assert got.parts is not None
    assert got.negative_parts is not None
    np.testing.assert_array_equal(got.parts, saved.parts)
    np.testing.assert_array_equal(got.negative_parts, saved.negative_parts)
    for new, old in zip(got.negatives, saved.negatives, strict=True):
        np.testing.assert_allclose(new.wave, old.wave, atol=0.5 / 32_768)
        assert (new.start_s, new.end_s, new.source, new.created) == (old.start_s, old.end_s, old.source, old.created)
    store.save(keyword("other"))
    assert store.get("other").calibration == KeywordCalibration()
    assert store.get("other").negative_parts is None


def test_negatives_need_their_embeddings():
    with pytest.raises(InputError, match="jarvis"):
        replace(keyword(negatives=2), negative_parts=None)


def test_a_change_is_undone_and_done_again(store: KeywordStore):
    store.save(keyword())
    store.save(replace(store.get("jarvis"), threshold=0.7), replace=store.get("jarvis"), change="set the threshold")
    for threshold in (0.6, 0.7, 0.6):
        name, change = store.undo("Jarvis")
        assert name == "jarvis"
        assert change.endswith("set the threshold")
        assert store.get("jarvis").threshold == threshold
    assert store.names() == ["jarvis"]
    assert len(store.get("jarvis").takes) == 2


def test_only_the_last_change_can_be_undone(store: KeywordStore):
    store.save(keyword())
    with pytest.raises(InputError, match="no change"):
        store.undo("jarvis")
    for threshold in (0.7, 0.8):
        store.save(replace(store.get("jarvis"), threshold=threshold), replace=store.get("jarvis"))
    store.undo("jarvis")
    assert store.get("jarvis").threshold == 0.7
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM keyword").fetchone() == (2,)
    with pytest.raises(KeywordNotFound):
        store.undo("computer")


def test_a_renamed_keyword_keeps_everything_and_its_name_comes_back(store: KeywordStore):
    store.save(keyword(negatives=1))
    store.save_near_misses("jarvis", [near_miss(1)])
    known = store.get("jarvis")
    store.save(replace(known, name="computer"), replace=known, change="rename")
    assert store.names() == ["computer"]
    assert (len(store.get("computer").negatives), len(store.near_misses("computer"))) == (1, 1)
    store.save(keyword("jarvis"))
    with pytest.raises(NameTaken, match="'computer'"):
        store.undo("computer")
    store.remove("jarvis")
    assert store.undo("computer") == ("jarvis", "rename")
    assert store.names() == ["jarvis"]
    assert len(store.near_misses("jarvis")) == 1


def test_a_keyword_is_not_renamed_to_another_ones_name(store: KeywordStore):
    store.save(keyword())
    store.save(keyword("computer"))
    known = store.get("jarvis")
    with pytest.raises(NameTaken, match="'Computer'"):
        store.save(replace(known, name="Computer"), replace=known)
    store.save(replace(known, name="JARVIS"), replace=known)
    assert store.names() == ["computer", "JARVIS"]


def test_a_changed_threshold_is_noticed_by_another_program(store: KeywordStore):
    store.save(keyword())
    known = store.get("jarvis")
    store.save(replace(known, threshold=0.7), replace=known)
    with pytest.raises(Exception, match="another program changed keyword 'jarvis' meanwhile"):
        store.save(replace(known, threshold=0.8), replace=known)


def test_near_misses_are_read_as_they_were_saved(store: KeywordStore):
    store.save(keyword())
    assert store.near_misses("jarvis") == []
    store.save_near_misses("jarvis", [near_miss(1), near_miss(2)])
    got = store.near_misses("JARVIS")
    assert [(one.start_s, one.end_s, one.score, one.source) for one in got] == [
        (0.05, 0.12, 0.55, near_miss(1).source)
    ] * 2
    np.testing.assert_allclose(got[1].wave, sound(2), atol=0.5 / 32_768)
    store.save_near_misses("jarvis", got[:1])
    assert len(store.near_misses("jarvis")) == 1
    with pytest.raises(KeywordNotFound):
        store.save_near_misses("computer", [])


def test_negatives_and_near_misses_are_exported_only_where_asked_for(store: KeywordStore, tmp_path: Path):
    store.save(keyword(negatives=1))
    store.save_near_misses("jarvis", [near_miss(1)])
    store.save(store.get("jarvis"), replace=store.get("jarvis"))  # a former state with a negative
    store.save_last_detections({"jarvis": last(tmp_path / "clip.wav")})
    store.save_encoder_path("abc123", tmp_path / "mine.onnx")
    store.export_to(tmp_path / "plain.earmark")
    plain = (tmp_path / "plain.earmark").read_bytes()
    assert pack(sound(10))[100:200] not in plain
    assert pack(sound(1))[100:200] in plain  # a take
    assert str(tmp_path).encode() not in plain
    store.export_to(tmp_path / "all.earmark", with_negatives=True, with_near_misses=True)
    other = KeywordStore(tmp_path / "other.earmark")
    other.import_from(tmp_path / "all.earmark", name="theirs")
    assert (len(other.get("theirs").negatives), len(other.near_misses("theirs"))) == (1, 1)
    other.import_from(tmp_path / "plain.earmark")
    assert (len(other.get("jarvis").negatives), len(other.near_misses("jarvis"))) == (0, 0)


def test_a_removed_keyword_leaves_no_trace_in_the_file(store: KeywordStore, tmp_path: Path):
    store.save(keyword("stays"))
    store.save(keyword(negatives=1))
    store.save_near_misses("jarvis", [near_miss(20)])
    store.save_last_detections({"jarvis": last(tmp_path / "secret.wav")})
    known = store.get("jarvis")
    fewer = replace(known, takes=(Take(sound(30), 0.1, 0.15),), embeddings=known.embeddings[:1], parts=unit_rows(1, 7))
    store.save(fewer, replace=known)
    traces = [pack(sound(seed))[100:200] for seed in (10, 20, 30)] + [b"secret.wav"]
    content = store.path.read_bytes()
    assert all(trace in content for trace in traces)
    store.remove("jarvis")
    content = store.path.read_bytes()
    assert not any(trace in content for trace in traces)
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        for table in ("negative", "near_miss", "last_detection"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM keyword").fetchone() == (1,)


def test_the_last_detection_follows_a_changed_keyword(store: KeywordStore, tmp_path: Path):
    store.save(keyword())
    assert store.last_detection("jarvis") is None
    store.save_last_detections({"jarvis": last(tmp_path / "old.wav"), "unknown": last(tmp_path / "x.wav")})
    store.save_last_detections({"jarvis": last(tmp_path / "new.wav")})
    known = store.get("jarvis")
    store.save(replace(known, threshold=0.7), replace=known)
    assert store.last_detection("jarvis") == last(tmp_path / "new.wav")


def test_the_files_of_own_encoders_are_remembered(store: KeywordStore, tmp_path: Path):
    assert store.encoder_paths() == {}
    for name in ("old.onnx", "mine.onnx"):
        store.save_encoder_path("abc123", tmp_path / name)
    assert store.encoder_paths() == {"abc123": tmp_path / "mine.onnx"}


def test_the_folders_of_clips_are_remembered(store: KeywordStore, tmp_path: Path):
    store.save_clip_folder(tmp_path / "early")
    assert store.clip_folders() == []  # nothing is remembered without a store
    store.save(keyword())
    for name in ("clips", "other", "clips"):
        store.save_clip_folder(tmp_path / name)
    assert store.clip_folders() == [tmp_path / "clips", tmp_path / "other"]


def test_a_speaker_of_a_former_state_can_be_removed(store: KeywordStore):
    store.save_speaker(
        Speaker(name="alice", takes=keyword().takes, embeddings=unit_rows(2), threshold=0.5, encoder="def456")
    )
    store.save(replace(keyword(), only_speaker="alice"))
    store.restrict("jarvis", None)
    store.remove_speaker("alice")
    with pytest.raises(InputError, match="no change"):
        store.undo("jarvis")


def test_a_restriction_is_undone(store: KeywordStore):
    store.save_speaker(
        Speaker(name="alice", takes=keyword().takes, embeddings=unit_rows(2), threshold=0.5, encoder="def456")
    )
    store.save(keyword())
    store.restrict("jarvis", "Alice")
    assert store.undo("jarvis") == ("jarvis", "restrict to speaker Alice")
    assert store.get("jarvis").only_speaker is None


def test_embeddings_and_calibration_of_the_verifier_are_read_as_they_were_saved(store: KeywordStore, tmp_path: Path):
    tail = BackgroundTail(level=0.5, scale=0.04, count=20, hours=1.0, shape=-0.25)
    verified = VerifierCalibration(
        candidate=0.4, slope=0.9, offset=0.1, tail=tail, expected_misses=0.02, logistic=Logistic(20.0, 0.6)
    )
    one = replace(
        keyword(negatives=2),
        verifier=VerifierEmbeddings("5ec0", unit_rows(2, 7), unit_rows(2, 7), unit_rows(0, 7)),
        calibration=KeywordCalibration(tail=BackgroundTail(0.5, 0.04, 40, 1.0), verifier=verified),
    )
    store.save(one)
    kept = store.get("jarvis")
    assert kept.calibration == one.calibration
    assert kept.verifier is not None
    assert one.verifier is not None
    assert kept.verifier.fingerprint == "5ec0"
    np.testing.assert_array_equal(kept.verifier.parts, one.verifier.parts)
    np.testing.assert_array_equal(kept.verifier.negative_parts, one.verifier.negative_parts)
    store.export_to(tmp_path / "exported.earmark", ["jarvis"])
    exported = KeywordStore(tmp_path / "exported.earmark").get("jarvis").verifier
    assert exported is not None
    assert exported.parts.shape == (2, 7, 8)
    assert exported.negative_parts.shape == (0, 7, 8)


def test_each_take_and_negative_needs_a_row_of_the_verifier():
    with pytest.raises(InputError, match="verifier"):
        replace(
            keyword(negatives=1), verifier=VerifierEmbeddings("5ec0", unit_rows(2, 7), unit_rows(2, 7), unit_rows(0, 7))
        )


def test_synthetic_takes_are_read_as_they_were_saved_and_exported(store: KeywordStore, tmp_path: Path):
    wave = np.float32(0.1) * np.sin(np.arange(8000, dtype=np.float32))
    voices = tuple(Take(wave, 0.1, 0.4, f"synthetic: {number}") for number in range(3))
    one = replace(
        keyword(negatives=1),
        synthetic=voices,
        synthetic_parts=unit_rows(3, 7),
        verifier=VerifierEmbeddings("5ec0", unit_rows(2, 7), unit_rows(1, 7), unit_rows(3, 7)),
    )
    typed = replace(
        one, name="typed", takes=(), embeddings=one.embeddings[:0], parts=unit_rows(2, 7)[:0], verifier=None
    )
    store.save(one)
    store.save(typed)
    store.export_to(tmp_path / "exported.earmark", ["jarvis", "typed"])
    for kept in (store, KeywordStore(tmp_path / "exported.earmark")):
        again, alone = kept.get("jarvis"), kept.get("typed")
        assert [take.source for take in again.synthetic] == [take.source for take in voices]
        assert again.verifier is not None
        np.testing.assert_array_equal(again.synthetic_parts, one.synthetic_parts)
        np.testing.assert_array_equal(again.verifier.synthetic_parts, unit_rows(3, 7))
        assert (alone.takes, len(alone.synthetic), alone.embeddings.shape) == ((), 3, (0, 8))
        np.testing.assert_allclose(alone.part_prototypes, typed.part_prototypes, atol=1e-6)


def test_a_keyword_needs_takes_or_synthetic_takes():
    one = keyword()
    with pytest.raises(InputError, match="embeddings"):
        replace(one, takes=(), embeddings=one.embeddings[:0], parts=unit_rows(2, 7)[:0])
    with pytest.raises(InputError, match="synthetic"):
        replace(one, synthetic=one.takes)
