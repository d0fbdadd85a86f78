import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.core.audio import Wave, pack
from earmark.core.errors import EarmarkError, InputError
from earmark.core.names import clean_name
from earmark.spotting.keyword import Keyword
from earmark.spotting.takes import Take
from earmark.store.migrations import MIGRATIONS, migrate
from earmark.store.store import ExportExists, KeywordNotFound, KeywordStore, NameTaken

Execute = Callable[[str], None]


def sound(seed: int, samples: int = 3_000) -> Wave:
    return (0.2 * np.random.default_rng(seed).standard_normal(samples)).clip(-1, 0.999).astype(np.float32)


def keyword(name: str, takes: int = 2, seed: int = 0) -> Keyword:
    rows = np.random.default_rng(seed).standard_normal((takes, 8))
    return Keyword(
        name=name,
        takes=tuple(Take(sound(i), 0.1, 0.15, f"take {i}.wav", ("quiet", "über")) for i in range(takes)),
        embeddings=(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32),
        duration_s=0.05,
        threshold=0.6,
        encoder="abc123",
        rate=0.5,
    )


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder in which the process may write until it calls `chmod(0o555)`, whoever runs the tests."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if root:
            os.chown(folder, 65_534, 65_534)
            os.seteuid(65_534)  # permissions do not hold root back
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


# --- one keyword, in and out


def test_a_keyword_is_read_as_it_was_saved(store: KeywordStore):
    saved = keyword("jarvis", takes=3)
    store.save(saved)
    got = store.get("jarvis")
    np.testing.assert_array_equal(got.embeddings, saved.embeddings)
    np.testing.assert_array_equal(got.prototype, saved.prototype)
    for name in ("name", "duration_s", "threshold", "encoder", "created", "rate"):
        assert getattr(got, name) == getattr(saved, name)
    assert len(got.takes) == 3
    for new, old in zip(got.takes, saved.takes, strict=True):
        np.testing.assert_allclose(new.wave, old.wave, atol=0.5 / 32_768)
        assert (new.start_s, new.end_s, new.source, new.remarks) == (old.start_s, old.end_s, old.source, old.remarks)


def test_saving_again_does_not_wear_the_takes(store: KeywordStore):
    store.save(keyword("jarvis"))
    first = store.get("jarvis")
    store.save(first, replace=True)
    for new, old in zip(store.get("jarvis").takes, first.takes, strict=True):
        np.testing.assert_array_equal(new.wave, old.wave)


def test_the_prototype_is_the_mean_of_the_unit_rows_made_unit():
    word = keyword("jarvis", takes=5)
    mean = word.embeddings.mean(axis=0)
    np.testing.assert_allclose(word.prototype, mean / np.linalg.norm(mean), atol=1e-6)
    assert word.prototype.dtype == np.float32


@pytest.mark.parametrize("rows", [np.zeros(8), np.zeros((0, 8)), np.full((1, 8), np.nan)])
def test_embeddings_of_a_wrong_shape_or_not_finite_are_an_error(rows: np.ndarray):
    with pytest.raises(InputError, match="'jarvis': embeddings"):
        replace(keyword("jarvis"), embeddings=rows.astype(np.float32))


def test_saving_a_taken_name_is_an_error_unless_it_may_replace(store: KeywordStore):
    store.save(keyword("jarvis"))
    with pytest.raises(NameTaken, match="'jarvis'"):
        store.save(keyword("jarvis", seed=1))
    np.testing.assert_array_equal(store.get("jarvis").embeddings, keyword("jarvis").embeddings)
    store.save(keyword("jarvis", takes=1, seed=1), replace=True)
    assert len(store.get("jarvis").takes) == 1
    assert store.names() == ["jarvis"]


def test_only_the_keyword_that_was_read_is_replaced(store: KeywordStore):
    store.save(keyword("jarvis", takes=1))
    known = store.get("jarvis")
    store.save(keyword("jarvis", takes=2), replace=known)
    with pytest.raises(EarmarkError, match="another program changed keyword 'jarvis' meanwhile"):
        store.save(keyword("jarvis", takes=3), replace=known)
    assert len(store.get("jarvis").takes) == 2
    store.remove("jarvis")
    with pytest.raises(EarmarkError, match="meanwhile"):
        store.save(keyword("jarvis"), replace=known)
    assert store.names() == []


def test_a_take_that_is_not_audio_changes_nothing(store: KeywordStore):
    store.save(keyword("jarvis"))
    silent = Take(np.full(10, np.nan, np.float32), 0, 0)
    with pytest.raises(InputError):
        store.save(replace(keyword("jarvis"), takes=(silent,)), replace=True)
    assert len(store.get("jarvis").takes) == 2


def test_removing_takes_the_voice_out_of_the_file(store: KeywordStore):
    store.save(keyword("jarvis"))
    store.save(keyword("computer"))
    voice = pack(sound(1))[100:200]
    assert voice in store.path.read_bytes()
    store.remove("Jarvis")
    assert store.names() == ["computer"]
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM take").fetchone() == (2,)
    store.remove("computer")
    assert voice not in store.path.read_bytes()


def test_a_source_with_invalid_bytes_stays_legible(store: KeywordStore):
    store.save(replace(keyword("jarvis"), takes=(Take(sound(0), 0, 0.1, source="caf\udce9.wav"),)))
    assert store.get("jarvis").takes[0].source == "caf?.wav"


# --- names


def test_names_are_listed_alphabetically_whatever_their_case(store: KeywordStore):
    for name in ("zebra", "Apple", "mango"):
        store.save(keyword(name))
    assert store.names() == ["Apple", "mango", "zebra"]
    assert [word.name for word in store.all()] == store.names()


@pytest.mark.parametrize(
    ("one", "other"),
    [("Jarvis", "jARVIS"), ("Straße", "STRASSE"), ("café", "cafe\u0301"), (" stop", "stop\n"), ("ΣΊΣΥΦΟΣ", "σίσυφος")],
)
def test_names_that_read_the_same_are_the_same(store: KeywordStore, one: str, other: str):
    store.save(keyword(one))
    assert store.get(other).name == clean_name(one)
    with pytest.raises(NameTaken):
        store.save(keyword(other))


@pytest.mark.parametrize(
    "name", ["小爱同学", "مرحبا", "नमस्ते", "می\u200cخواهم", "ok google!", "🤖", "7", "x" * 64, "no", "a'b\"c;--"]
)
def test_names_of_any_script_are_kept(store: KeywordStore, name: str):
    store.save(keyword(name))
    assert store.get(name).name == name


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("x" * 65, "65 characters"),
        ("a\x00b", "control character '.x00'"),
        ("a\nb", "control"),
        ("a\u202eb", "control"),
        ("a\ud800b", "control"),
        ("\u200d", "no visible character"),
    ],
)
def test_a_name_that_cannot_be_one_is_an_error(name: str, cure: str):
    with pytest.raises(InputError, match=cure) as caught:
        keyword(name)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=70))
def test_a_clean_name_stays_as_it_is(name: str):
    with contextlib.suppress(InputError):
        assert clean_name(clean_name(name)) == clean_name(name)


def test_an_unknown_name_suggests_a_similar_one(store: KeywordStore):
    with pytest.raises(KeywordNotFound, match=r"no keyword 'jarvs'; the store is empty"):
        store.get("jarvs")
    assert not store.path.exists()
    store.save(keyword("Jarvis"))
    with pytest.raises(KeywordNotFound, match=r"did you mean 'Jarvis'\?"):
        store.get("jarvs")
    with pytest.raises(KeywordNotFound, match=r"choose one of Jarvis$"):
        store.remove("stop")
    assert issubclass(KeywordNotFound, InputError)


# --- where the store is


def test_the_store_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EARMARK_STORE", str(tmp_path / "mine.earmark"))
    assert KeywordStore().path == tmp_path / "mine.earmark"
    assert KeywordStore(tmp_path / "other").path == tmp_path / "other"


@pytest.mark.skipif(sys.platform != "linux", reason="XDG folders are Linux's")
def test_by_default_the_store_is_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EARMARK_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    with KeywordStore() as store:
        assert store.names() == []
        assert not (tmp_path / "share").exists()
        store.save(keyword("jarvis"))
    assert (tmp_path / "share" / "earmark" / "keywords.earmark").is_file()
    assert (tmp_path / "share" / "earmark").stat().st_mode & 0o077 == 0


def test_between_operations_the_store_is_one_whole_file(store: KeywordStore):
    store.save(keyword("jarvis"))
    assert [path.name for path in store.path.parent.iterdir()] == ["words.earmark"]


# --- several at once, and ends without warning

_ENROLL = """
import sys
from tests_keyword import keyword
from earmark.store.store import KeywordStore
store = KeywordStore(sys.argv[1])
for number in range(int(sys.argv[3])):
    store.save(keyword(f"{sys.argv[2]} {number}"))
    print(f"{sys.argv[2]} {number}", flush=True)
"""


def enrolling(folder: Path, path: Path, prefix: str, number: int) -> subprocess.Popen[str]:
    """A process that saves keywords one after the other, and says each one's name once it is saved."""
    link = folder / "tests_keyword.py"
    if not link.exists():
        link.symlink_to(__file__)
    command = [sys.executable, "-c", _ENROLL, str(path), prefix, str(number)]
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})


def test_processes_that_write_at_once_lose_nothing(store: KeywordStore, tmp_path: Path):
    writers = [enrolling(tmp_path, store.path, prefix, 30) for prefix in ("left", "right")]
    for writer in writers:
        writer.communicate(timeout=300)
        assert writer.returncode == 0
    assert len(store.names()) == 60
    assert {len(word.takes) for word in store.all()} == {2}


def test_threads_may_share_a_store(store: KeywordStore):
    threads = [threading.Thread(target=store.save, args=(keyword(f"word {i}"),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.names()) == 8


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize("after", [1, 7, 20])
def test_a_killed_writer_loses_no_keyword_that_it_reported(store: KeywordStore, tmp_path: Path, after: int):
    writer = enrolling(tmp_path, store.path, "word", 100_000)
    assert writer.stdout is not None
    reported = [writer.stdout.readline().strip() for _ in range(after)]
    writer.send_signal(signal.SIGKILL)
    reported += writer.stdout.read().split("\n")[:-1]  # what was said before the signal came
    writer.stdout.close()
    writer.wait()
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert set(reported) <= set(store.names())
    assert len(store.names()) <= len(reported) + 1
    assert {len(word.takes) for word in store.all()} == {2}
    store.save(keyword("afterward"))


def test_a_store_that_stays_in_use_is_an_error_after_a_while(store: KeywordStore):
    store.save(keyword("jarvis"))
    store = KeywordStore(store.path, patience_s=0.1)
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EarmarkError, match="in use by another program"):
            store.save(keyword("computer"))
        assert store.names() == ["jarvis"]  # reading does not wait for a writer


# --- places and files that are not as they should be


def test_a_store_in_a_folder_without_write_permission_is_read_but_not_written(closed_folder: Path):
    store = KeywordStore(closed_folder / "words.earmark")
    store.save(keyword("jarvis"))
    closed_folder.chmod(0o555)
    assert store.names() == ["jarvis"]
    assert len(store.get("jarvis").takes) == 2
    for write in (lambda: store.save(keyword("computer")), lambda: store.remove("jarvis")):
        with pytest.raises(InputError, match=r"words\.earmark: cannot be opened or written; change its permissions"):
            write()
    with pytest.raises(InputError, match=r"cannot be written"):
        store.export_to(closed_folder / "out.earmark")
    with pytest.raises(InputError, match=r"new\.earmark: cannot be opened or written"):
        KeywordStore(closed_folder / "new.earmark").save(keyword("computer"))
    with pytest.raises(InputError, match="its folder cannot be created"):
        KeywordStore(closed_folder / "deeper" / "new.earmark").save(keyword("computer"))


def test_a_file_that_may_not_be_read_is_an_error(closed_folder: Path):
    store = KeywordStore(closed_folder / "words.earmark")
    store.save(keyword("jarvis"))
    store.path.chmod(0)
    with pytest.raises(InputError, match="permissions"):
        store.names()


def test_other_files_are_refused_by_name(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no store at all\n" * 100)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    for name, fault in {
        "notes.txt": "not a keyword store",
        "other.db": "a database, but not a keyword store",
        "": "a folder, not a keyword store",
    }.items():
        store = KeywordStore(tmp_path / name)
        for work in (KeywordStore.names, KeywordStore.all, lambda store: store.save(keyword("jarvis"))):
            with pytest.raises(InputError, match=fault) as caught:
                work(store)
            assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert (tmp_path / "notes.txt").read_text().startswith("no store")
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        assert other.execute("PRAGMA application_id").fetchone() == (0,)


def test_an_empty_file_becomes_a_store(store: KeywordStore):
    store.path.touch()
    assert store.names() == []
    store.save(keyword("jarvis"))
    assert store.names() == ["jarvis"]


def test_a_damaged_store_is_one_clear_error(store: KeywordStore):
    for number in range(20):
        store.save(keyword(f"word {number}"))
    content = bytearray(store.path.read_bytes())
    content[4_096:-4_096] = os.urandom(len(content) - 8_192)
    store.path.write_bytes(content)
    with pytest.raises(EarmarkError, match=r"words\.earmark: the store is damaged"):
        store.all()
    store.path.write_bytes(content[:5_000])
    with pytest.raises(EarmarkError, match=r"words\.earmark: "):
        store.all()


@pytest.mark.parametrize("change", ["UPDATE take SET sound = x'00ff'", "UPDATE take SET remarks = '['"])
def test_a_damaged_take_is_an_error_naming_the_keyword(store: KeywordStore, execute: Execute, change: str):
    store.save(keyword("jarvis"))
    execute(change)
    with pytest.raises(EarmarkError, match=r"words\.earmark: keyword 'jarvis' is damaged"):
        store.get("jarvis")
    store.remove("jarvis")


# --- versions


def test_a_store_of_a_newer_earmark_is_an_error_and_stays_as_it_is(store: KeywordStore, execute: Execute):
    store.save(keyword("jarvis"))
    execute("PRAGMA user_version = 7")
    before = store.path.read_bytes()
    for work in (store.names, lambda: store.save(keyword("computer"))):
        with pytest.raises(InputError, match=r"made by a newer earmark \(store version 7, this one knows 5\); upgrade"):
            work()
    assert store.path.read_bytes() == before


_NEXT = ("ALTER TABLE keyword ADD COLUMN note TEXT NOT NULL DEFAULT 'none'", "CREATE TABLE extra (x)")


def made_at(version: int, path: Path) -> Path:
    """A store of an older version, with a keyword."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, migrations=MIGRATIONS[:version])
        ones = np.ones(8, "<f4").tobytes()
        made = "'Jarvis', 'jarvis', '2024-01-01T00:00:00+00:00', 0.5, 0.6, 'abc123'"
        columns = "name, folded, created, duration_s, threshold, encoder"
        if version < 4:
            connection.execute(f"INSERT INTO keyword ({columns}, dimension, embeddings) VALUES ({made}, 8, ?)", (ones,))
        else:
            connection.execute(f"INSERT INTO keyword ({columns}) VALUES ({made})")
            connection.execute(
                "INSERT INTO embedding (keyword, stage, encoder, dimension, parts, takes, negatives)"
                " VALUES (1, 'detector', 'abc123', 8, 1, ?, x'')",
                (ones,),
            )
    return path


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_store_is_migrated_with_its_keywords(version: int, tmp_path: Path):
    path = made_at(version, tmp_path / "words.earmark")
    before = path.read_bytes()
    other = KeywordStore(tmp_path / "other.earmark")
    assert other.import_from(path) == ["Jarvis"]
    assert path.read_bytes() == before
    store = KeywordStore(path)
    assert (store.get("jarvis").threshold, store.get("jarvis").rate) == (0.6, None)
    store.save(keyword("computer"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_a_rate_and_a_threshold_that_the_user_chose_survive_the_migration(tmp_path: Path):
    path = made_at(3, tmp_path / "words.earmark")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE keyword SET false_alarms_per_hour = 2.0, threshold = 0.55")
    kept = KeywordStore(path).get("jarvis")
    assert (kept.rate, kept.threshold, kept.parts) == (2.0, 0.55, None)
    np.testing.assert_array_equal(kept.embeddings, np.ones((1, 8)))


def test_an_older_store_without_write_permission_is_read(closed_folder: Path):
    path = made_at(1, closed_folder / "words.earmark")
    closed_folder.chmod(0o555)
    assert KeywordStore(path).names() == ["Jarvis"]


def test_a_migration_that_fails_changes_nothing(store: KeywordStore):
    store.save(keyword("jarvis"))
    broken = (*MIGRATIONS, (*_NEXT, "CREATE TABLE extra (x)"))
    connect = contextlib.closing(sqlite3.connect(store.path, isolation_level=None))
    with connect as connection, pytest.raises(sqlite3.Error, match="extra"):
        migrate(connection, store.path, migrations=broken)
    assert store.names() == ["jarvis"]


# --- from store to store


def test_exported_keywords_are_imported_as_they_were(store: KeywordStore, tmp_path: Path):
    for name in ("jarvis", "computer", "stop"):
        store.save(keyword(name))
    store.export_to(tmp_path / "out.earmark", ["Jarvis", "stop", "jarvis"])  # a name given twice goes once
    other = KeywordStore(tmp_path / "deep" / "other.earmark")
    assert other.import_from(tmp_path / "out.earmark") == ["jarvis", "stop"]
    assert other.names() == ["jarvis", "stop"]
    assert other.get("stop").created == store.get("stop").created
    for new, old in zip(other.get("stop").takes, store.get("stop").takes, strict=True):
        np.testing.assert_array_equal(new.wave, old.wave)
    assert {path.name for path in tmp_path.iterdir()} == {"words.earmark", "out.earmark", "deep"}


def test_an_exported_file_is_a_store_that_needs_no_side_files(closed_folder: Path):
    store = KeywordStore(closed_folder / "words.earmark")
    store.save(keyword("jarvis"))
    store.export_to(closed_folder / "out.earmark")
    closed_folder.chmod(0o555)
    assert KeywordStore(closed_folder / "out.earmark").names() == ["jarvis"]


def test_importing_a_taken_name_changes_nothing_without_replace(store: KeywordStore, tmp_path: Path):
    for name in ("alpha", "jarvis"):
        store.save(keyword(name))
    store.export_to(tmp_path / "out.earmark")
    other = KeywordStore(tmp_path / "other.earmark")
    other.save(keyword("JARVIS", takes=1))
    with pytest.raises(NameTaken, match="'jarvis'"):
        other.import_from(tmp_path / "out.earmark")
    assert other.names() == ["JARVIS"]
    other.import_from(tmp_path / "out.earmark", replace=True)
    assert other.names() == ["alpha", "jarvis"]


def test_a_single_keyword_is_imported_under_another_name(store: KeywordStore, tmp_path: Path):
    store.save(keyword("jarvis"))
    store.export_to(tmp_path / "out.earmark")
    assert store.import_from(tmp_path / "out.earmark", name="my jarvis") == ["my jarvis"]
    assert store.names() == ["jarvis", "my jarvis"]
    store.export_to(tmp_path / "out.earmark", replace=True)
    with pytest.raises(InputError, match=r"^name: "):
        store.import_from(tmp_path / "out.earmark", name="other")


def test_a_live_store_is_imported_too(store: KeywordStore, tmp_path: Path):
    store.save(keyword("jarvis"))
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("SELECT count(*) FROM keyword").fetchone()
        store.save(keyword("computer"))  # is in the WAL file as long as the reader keeps the store open
        assert store.path.with_name("words.earmark-wal").stat().st_size
        assert KeywordStore(tmp_path / "other.earmark").import_from(store.path) == ["computer", "jarvis"]


def test_exports_and_imports_that_cannot_be_are_errors(store: KeywordStore, tmp_path: Path):
    with pytest.raises(InputError, match="no keyword to export"):
        store.export_to(tmp_path / "out.earmark")
    store.save(keyword("jarvis"))
    with pytest.raises(ExportExists, match="words"):
        store.export_to(store.path)
    with pytest.raises(InputError, match=r"name it out\.earmark"):
        store.export_to(tmp_path / "out.zip")
    with pytest.raises(InputError, match=r"absent: .*cannot be written|out\.earmark: cannot be written"):
        store.export_to(tmp_path / "absent" / "out.earmark")
    with pytest.raises(KeywordNotFound, match="'stop'"):
        store.export_to(tmp_path / "out.earmark", ["jarvis", "stop"])
    with pytest.raises(InputError, match="no such file"):
        store.import_from(tmp_path / "absent.earmark")
    (tmp_path / "notes.txt").write_text("no store at all\n" * 100)
    with pytest.raises(InputError, match=r"notes\.txt: not a keyword store"):
        store.import_from(tmp_path / "notes.txt")
    assert {path.name for path in tmp_path.iterdir()} == {"words.earmark", "notes.txt"}
