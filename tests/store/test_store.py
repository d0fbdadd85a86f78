"""Speakers in the store, and keywords that answer to them."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.core.errors import EarmarkError, InputError
from earmark.spotting.keyword import Keyword
from earmark.spotting.speaker import Speaker
from earmark.spotting.takes import Take
from earmark.store.migrations import MIGRATIONS
from earmark.store.store import KeywordNotFound, KeywordStore, NameTaken, SpeakerNotFound


def takes(count: int) -> tuple[Take, ...]:
    def sound(seed: int) -> np.ndarray:
        return (0.2 * np.random.default_rng(seed).standard_normal(3_000)).clip(-1, 0.999).astype(np.float32)

    return tuple(Take(sound(i), 0.1, 0.15, f"take {i}.wav", ("quiet", "über")) for i in range(count))


def rows(count: int, width: int) -> np.ndarray:
    found = np.random.default_rng(count).standard_normal((count, width))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def keyword(name: str, only_speaker: str | None = None) -> Keyword:
    return Keyword(
        name=name,
        takes=takes(2),
        embeddings=rows(2, 8),
        duration_s=0.05,
        threshold=0.6,
        encoder="abc123",
        only_speaker=only_speaker,
    )


def speaker(name: str, count: int = 2) -> Speaker:
    return Speaker(name=name, takes=takes(count), embeddings=rows(count, 5), threshold=0.5, encoder="def456")


def test_a_speaker_is_read_as_it_was_saved(store: KeywordStore):
    saved = replace(speaker("Alice", 3), rate=0.02)
    store.save_speaker(saved)
    got = store.get_speaker("alice")
    np.testing.assert_array_equal(got.embeddings, saved.embeddings)
    np.testing.assert_array_equal(got.prototype, saved.prototype)
    for name in ("name", "threshold", "encoder", "created", "rate"):
        assert getattr(got, name) == getattr(saved, name)
    for new, old in zip(got.takes, saved.takes, strict=True):
        np.testing.assert_allclose(new.wave, old.wave, atol=0.5 / 32_768)
        assert (new.start_s, new.end_s, new.source, new.remarks) == (old.start_s, old.end_s, old.source, old.remarks)
    assert [known.name for known in store.speakers()] == ["Alice"]
    assert store.has_speaker(" ALICE ")


def test_speakers_and_keywords_have_names_of_their_own(store: KeywordStore):
    store.save(keyword("alice"))
    store.save_speaker(speaker("alice"))
    store.remove("alice")
    assert store.has_speaker("alice")


def test_a_keyword_keeps_its_speaker(store: KeywordStore):
    store.save_speaker(speaker("Alice"))
    store.save(keyword("lights", "ALICE"))
    store.save(keyword("music"))
    assert [word.only_speaker for word in store.all()] == ["Alice", None]


def test_a_keyword_of_an_unknown_speaker_is_refused(store: KeywordStore):
    with pytest.raises(InputError, match=r"no speaker 'alice', .*'lights' .*earmark speakers enroll alice"):
        store.save(keyword("lights", "alice"))
    assert store.names() == []


def test_a_taken_name_is_an_error_unless_it_may_be_replaced(store: KeywordStore):
    store.save_speaker(speaker("alice"))
    store.save(keyword("lights", "alice"))
    with pytest.raises(NameTaken, match="speaker 'ALICE'"):
        store.save_speaker(speaker("ALICE", 3))
    store.save_speaker(speaker("ALICE", 3), replace=True)
    assert len(store.get_speaker("alice").takes) == 3
    assert store.get("lights").only_speaker == "ALICE"


def test_only_the_speaker_that_was_read_is_replaced(store: KeywordStore):
    store.save_speaker(speaker("alice"))
    known = store.get_speaker("alice")
    store.save_speaker(speaker("alice", 3), replace=known)
    with pytest.raises(EarmarkError, match="another program changed speaker 'alice' meanwhile"):
        store.save_speaker(speaker("alice", 4), replace=known)


def test_a_speaker_of_a_restricted_keyword_is_not_removed(store: KeywordStore):
    store.save_speaker(speaker("alice"))
    store.save(keyword("lights", "alice"))
    store.save(keyword("doors", "alice"))
    with pytest.raises(InputError, match=r"keywords 'doors', 'lights' .*'Alice'.*earmark keywords restrict"):
        store.remove_speaker("Alice")
    store.remove("doors")
    store.restrict("lights", None)
    store.remove_speaker("Alice")
    assert store.speakers() == []
    assert store.get("lights").only_speaker is None
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM speaker_take").fetchone() == (0,)


def test_several_are_removed_together_or_not_at_all(store: KeywordStore):
    for name in ("alice", "bob"):
        store.save_speaker(speaker(name))
    for name, whose in (("lights", None), ("music", "bob")):
        store.save(keyword(name, whose))
    with pytest.raises(SpeakerNotFound, match="'carol'"):
        store.remove_speaker("alice", "carol")
    with pytest.raises(InputError, match=r"'music' .*'bob'"):
        store.remove_speaker("alice", "bob")
    with pytest.raises(KeywordNotFound, match="'radio'"):
        store.remove("lights", "music", "radio")
    assert (store.names(), len(store.speakers())) == (["lights", "music"], 2)
    store.remove("lights", "MUSIC", "music")
    store.remove_speaker("alice", "bob")
    assert (store.names(), store.speakers()) == ([], [])


def test_a_restriction_is_set_and_lifted(store: KeywordStore):
    store.save_speaker(speaker("alice"))
    store.save(keyword("lights"))
    before = store.get("lights")
    store.restrict("LIGHTS", "Alice")
    after = store.get("lights")
    assert after.only_speaker == "alice"
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
    with pytest.raises(SpeakerNotFound, match=r"no speaker 'alise'; did you mean 'alice'\?"):
        store.restrict("lights", "alise")
    with pytest.raises(KeywordNotFound, match="no keyword 'light'; did you mean 'lights'"):
        store.restrict("light", "alice")


def test_other_things_than_keywords_and_speakers_are_refused(store: KeywordStore):
    with pytest.raises(InputError, match=r"^keyword: "):
        store.save(speaker("Alice"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^speaker: "):
        store.save_speaker(keyword("lights"))  # type: ignore[arg-type]
    assert not store.path.exists()


def test_an_unknown_speaker_is_refused_with_the_cure(store: KeywordStore):
    for work in (store.get_speaker, store.remove_speaker):
        with pytest.raises(SpeakerNotFound, match=r"no speaker 'bob'; enroll .*earmark speakers enroll bob FILE"):
            work("bob")
    assert not store.path.exists()
    assert store.speakers() == []


def test_exported_keywords_take_their_speakers_along(store: KeywordStore, tmp_path: Path):
    for name in ("alice", "bob"):
        store.save_speaker(speaker(name))
    store.save(keyword("lights", "alice"))
    store.export_to(tmp_path / "out.earmark")
    other = KeywordStore(tmp_path / "other.earmark")
    assert other.import_from(tmp_path / "out.earmark") == ["lights"]
    assert other.get("lights").only_speaker == "alice"
    assert [known.name for known in other.speakers()] == ["alice"]
    # The same speaker again is no hindrance; another one of the name is.
    other.remove("lights")
    assert other.import_from(tmp_path / "out.earmark") == ["lights"]
    other.remove("lights")
    other.save_speaker(replace(speaker("alice", 3), created="2001"), replace=True)
    with pytest.raises(NameTaken, match="speaker 'alice'"):
        other.import_from(tmp_path / "out.earmark")
    assert other.names() == []
    other.import_from(tmp_path / "out.earmark", replace=True)
    assert len(other.get_speaker("alice").takes) == 2


def test_a_store_and_an_export_without_speakers_are_migrated(store: KeywordStore, tmp_path: Path):
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {int.from_bytes(b'earm')}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO keyword (name, folded, created, duration_s, threshold, encoder, dimension, embeddings)"
            " VALUES ('stop', 'stop', '2026', 0.5, 0.6, 'abc', 2, ?)",
            (np.array([0, 1], np.float32).tobytes(),),
        )
    old = tmp_path / "old.earmark"
    old.write_bytes(store.path.read_bytes())
    before = old.read_bytes()
    other = KeywordStore(tmp_path / "other.earmark")
    assert other.import_from(old) == ["stop"]
    assert old.read_bytes() == before
    assert store.get("stop").only_speaker is None
    assert store.get("stop").rate is None
    store.save_speaker(speaker("alice"))
    store.restrict("stop", "alice")
    assert store.get("stop").only_speaker == "alice"


@pytest.mark.parametrize("change", ["UPDATE speaker_take SET sound = x'00ff'", "UPDATE speaker SET dimension = 7"])
def test_a_damaged_speaker_is_an_error_naming_it(store: KeywordStore, execute: Callable[[str], None], change: str):
    store.save_speaker(speaker("alice"))
    execute(change)
    with pytest.raises(EarmarkError, match=r"words\.earmark: speaker 'alice' is damaged"):
        store.get_speaker("alice")


def test_removing_a_speaker_takes_the_voice_out_of_the_file(store: KeywordStore):
    from earmark.core.audio import pack

    store.save_speaker(speaker("alice"))
    voice = pack(takes(2)[1].wave)[100:200]
    assert voice in store.path.read_bytes()
    store.remove_speaker("alice")
    assert voice not in store.path.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_voices_are_readable_by_their_owner_alone_exported_ones_too(store: KeywordStore, tmp_path: Path):
    store.save(keyword("lights"))
    store.export_to(tmp_path / "exported.earmark")
    for path in (store.path, tmp_path / "exported.earmark"):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_killed_export_leaves_no_voices_after_the_next_one(store: KeywordStore, tmp_path: Path):
    store.save(keyword("lights"))
    store.save_speaker(speaker("Alice"))
    store.save(keyword("music", "Alice"))
    # Killed at the commit, when the voices are on the disk, and just before the draft gets its name.
    program = """
import os, signal, sqlite3, sys
from earmark.store import database
from earmark.store.store import KeywordStore
def killing(statement):
    return lambda found: os.kill(os.getpid(), signal.SIGKILL) if found.startswith(statement) else None
connect = database.connect
def traced(path, mode, **options):
    connection = connect(path, mode, **options)
    if "exported" in path.name:
        connection.set_trace_callback(killing(sys.argv[3]))
    return connection
database.connect = traced
KeywordStore(sys.argv[1]).export_to(sys.argv[2])
"""
    folder = tmp_path / "out"
    folder.mkdir()
    for statement in ("COMMIT", "PRAGMA journal_mode = DELETE"):
        command = [sys.executable, "-c", program, str(store.path), str(folder / "exported.earmark"), statement]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    assert left
    store.export_to(folder / "other.earmark")
    assert os.listdir(folder) == ["other.earmark"]
    assert KeywordStore(folder / "other.earmark").names() == ["lights", "music"]


@pytest.mark.skipif(os.name == "nt", reason="links as POSIX has them")
def test_an_export_follows_no_link(store: KeywordStore, tmp_path: Path):
    store.save(keyword("lights"))
    victim, target = tmp_path / "victim", tmp_path / "exported.earmark"
    victim.write_text("mine")
    for number in (os.getpid(), 0):
        (tmp_path / f".{target.name}.{number}").symlink_to(victim)
    target.symlink_to(tmp_path / "missing")
    store.export_to(target)
    assert not target.is_symlink()
    assert KeywordStore(target).names() == ["lights"]
    assert victim.read_text() == "mine"
    assert not (tmp_path / "missing").exists()
