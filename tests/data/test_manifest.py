import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.data.manifest import Clip, Manifest, ManifestError, read_manifest, write_manifest

CLIPS = (
    Clip("casa/anna_0.wav", speaker="anna", label="es:casa", split="train", text="casa"),
    Clip("/elsewhere/long.flac", 1.25, 2.0, speaker="b e n", label="数字", split="test", text='he said "stop"'),
)
plain = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=8)
times = st.floats(0, 1e4)
clips = st.builds(
    lambda path, start, length, words: Clip("c/" + path, start, None if length is None else start + 1 + length, *words),
    plain,
    times,
    st.none() | times,
    st.tuples(plain, plain, plain, plain),
)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_manifests_are_read_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"manifest{suffix}"
    write_manifest(Manifest(CLIPS, tmp_path), path)
    assert read_manifest(path) == Manifest(CLIPS, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
@given(rows=st.lists(clips, min_size=1, max_size=5))
@settings(max_examples=40)
def test_any_clip_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list[Clip]
) -> None:
    path = tmp_path_factory.mktemp("any") / f"manifest{suffix}"
    write_manifest(Manifest(tuple(rows), path.parent), path)
    assert read_manifest(path).clips == tuple(rows)


def test_a_clip_may_be_listed_twice(tmp_path: Path) -> None:
    path = tmp_path / "manifest.tsv"
    write_manifest(Manifest(CLIPS[:1] * 2, tmp_path), path)
    assert read_manifest(path).clips == CLIPS[:1] * 2


def test_other_columns_are_ignored(tmp_path: Path) -> None:
    text = "path\tspeaker\tspeaker_id\tlabel\tsplit\tduration_s\tlanguage\nyes/a_0.opus\ta\t7\tyes\ttrain\t1.000\ten\n"
    path = written(tmp_path / "manifest.tsv", text)
    assert read_manifest(path).clips == (Clip("yes/a_0.opus", speaker="a", label="yes", split="train"),)


def test_relative_paths_start_from_the_folder_of_the_manifest(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path / "manifest.tsv", "path\na.wav\n/b.wav\n"))
    assert [manifest.locate(clip) for clip in manifest] == [tmp_path / "a.wav", Path("/b.wav")]


@pytest.mark.parametrize("place", ["out.tsv", "corpus/inner/out.tsv", "other/out.tsv"])
def test_a_manifest_written_elsewhere_leads_to_the_same_files(tmp_path: Path, place: str) -> None:
    manifest = Manifest((Clip("inner/a.wav"), Clip(str(tmp_path / "b.wav"))), tmp_path / "corpus")
    write_manifest(manifest, tmp_path / place)
    moved = read_manifest(tmp_path / place)
    assert [moved.locate(clip) for clip in moved] == [manifest.locate(clip) for clip in manifest]


def test_only_keeps_the_clips_of_some_splits() -> None:
    assert Manifest(CLIPS).only("test", "val").clips == CLIPS[1:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\tlable\na.wav\tyes\n", "'lable'; did you mean 'label'?"),
        ("path\tspeaker_id\na.wav\tanna\n", "'speaker_id'; did you mean 'speaker'?"),
        ("label\nyes\n", "'path'"),
        ("path\tpath\na\tb\n", "'path'"),
        ("path\n", ""),
        ("", ""),
        ("path\tlabel\na.wav\n", "row 1: "),
        ("path\tlabel\na.wav\tyes\n\tno\n", "row 2: path"),
        ("path\tstart_s\na.wav\tsoon\n", "row 1: start_s is 'soon'"),
        ("path\tstart_s\na.wav\t-1\n", "row 1: start_s is '-1'"),
        ("path\tend_s\na.wav\tnan\n", "row 1: end_s is 'nan'"),
        ("path\tstart_s\tend_s\na.wav\t2\t1\n", "row 1: end_s 1"),
    ],
)
def test_a_faulty_manifest_is_refused_with_file_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path / "words.tsv", text)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["absent.tsv", "words.csv", "damaged.parquet"],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, name: str) -> None:
    if name != "absent.tsv":
        written(tmp_path / name, "path\na.wav\n")
    with pytest.raises(ManifestError, match=name):
        read_manifest(tmp_path / name)


def test_a_tsv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_bytes("path\tlabel\na.wav\tgrün\n".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"words\.tsv"):
        read_manifest(tmp_path / "words.tsv")


def test_a_line_break_inside_a_value_is_refused_in_tsv_and_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = Manifest((Clip("a.wav", text="two\nlines"),), tmp_path)
    with pytest.raises(ManifestError, match="row 1: text"):
        write_manifest(broken, tmp_path / "manifest.tsv")
    assert list(tmp_path.iterdir()) == []
    write_manifest(broken, tmp_path / "manifest.parquet")
    assert read_manifest(tmp_path / "manifest.parquet").clips == broken.clips


def test_tsv_needs_no_pyarrow_and_the_error_of_parquet_says_what_to_install(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["pyarrow"] = None
from pathlib import Path
from earmark.core.errors import MissingPackage
from earmark.data.manifest import *
folder = Path(sys.argv[1])
write_manifest(Manifest((Clip("a.wav"),), folder), folder / "manifest.tsv")
assert len(read_manifest(folder / "manifest.tsv")) == 1
try:
    write_manifest(Manifest((Clip("a.wav"),), folder), folder / "manifest.parquet")
except MissingPackage as error:
    assert (error.package, error.extra) == ("pyarrow", "data"), error
else:
    raise AssertionError("written without pyarrow")
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


@pytest.mark.corpora
def test_the_real_corpora_are_read_and_their_files_are_found() -> None:
    data = Path(os.environ.get("EARMARK_DATA", "../shared/data"))
    paths = sorted(data.glob("*/manifest.tsv"))
    if not paths:
        pytest.skip(f"no corpora in {data}; set EARMARK_DATA")
    for path in paths:
        manifest = read_manifest(path)
        assert manifest.locate(manifest.clips[-1]).is_file()
        assert all(clip.split for clip in manifest)
