import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.data.corpora.speech_commands import WORD_GROUPS
from earmark.data.lists.clip_lists import read_list, read_pairs
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest
from earmark.evaluation.protocols.trials import find_pairs
from tests.cli.prepare import run

NEW_WORDS = ["backward", "follow", "forward", "learn", "visual"]
OLD_WORDS = [word for group in WORD_GROUPS.values() for word in group if word not in NEW_WORDS]


def speech_commands(root: Path, words: list[str], speakers: int = 4) -> Path:
    names = [f"{word}/{speaker:08x}_nohash_0.wav" for word in words for speaker in range(speakers)]
    for name in [*names, "_background_noise_/pink_noise.wav"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_speech_commands_shows_version_and_splits(tmp_path: Path) -> None:
    root, out = speech_commands(tmp_path / "gsc", OLD_WORDS), tmp_path / "gsc.tsv"
    shown = run("speech-commands", root, "--out", out)
    assert shown.startswith(f"{out}: Speech Commands 0.01, 121 clips (noise 1, ")
    assert shown.endswith("30 labels, 4 speakers\n")
    assert {clip.split for clip in read_manifest(out)} <= {"noise", "train", "val", "test"}
    with pytest.raises(InputError, match=r"gsc: .*0\.01"):
        run("speech-commands", root, "--out", out, "--version", "0.02")
    speech_commands(root, NEW_WORDS)
    assert "Speech Commands 0.02, 141 clips" in run("speech-commands", root, "--out", out, "--version", "0.02")


def test_speech_commands_becomes_eleven_labels_and_noise(tmp_path: Path) -> None:
    root, out = speech_commands(tmp_path / "gsc", OLD_WORDS), tmp_path / "gsc.tsv"
    run("speech-commands", root, "--out", out, "--keep", "gsc/pre-defined")
    labels = {clip.label for clip in read_manifest(out)}
    assert labels == {*OLD_WORDS[:10], "_unknown_", "_background_noise_"}


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Callable[..., tuple[str, str]]]:
    """Serve an archive with some members; gives its address and its SHA-256."""
    (tmp_path / "www").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

        def publish(*names: str) -> tuple[str, str]:
            path = tmp_path / "www" / "speech_commands_v0.02.tar.gz"
            with tarfile.open(path, "w:gz") as archive:
                for name in names:
                    archive.addfile(tarfile.TarInfo(f"./{name}"), io.BytesIO())
            return f"http://127.0.0.1:{server.server_port}/{path.name}", hashlib.sha256(path.read_bytes()).hexdigest()

        yield publish
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def test_speech_commands_is_downloaded_checked_and_unpacked_once(
    tmp_path: Path, published: Callable[..., tuple[str, str]]
) -> None:
    url, sha256 = published("testing_list.txt", "validation_list.txt", "visual/ab_nohash_0.wav", "README.md")
    call = ("speech-commands", tmp_path / "gsc", "--out", tmp_path / "gsc.tsv", "--download", "--url", url)
    assert "Speech Commands 0.02, 1 clips" in run(*call, "--sha256", sha256.upper())
    assert sorted(path.name for path in (tmp_path / "gsc").iterdir()) == [
        "README.md",
        "speech_commands_v0.02.tar.gz",
        "testing_list.txt",
        "validation_list.txt",
        "visual",
    ]
    (tmp_path / "www" / "speech_commands_v0.02.tar.gz").unlink()
    run(*call, "--sha256", sha256)


def test_an_archive_that_is_not_the_published_one_is_refused(
    tmp_path: Path, published: Callable[..., tuple[str, str]]
) -> None:
    url, _ = published("visual/ab_nohash_0.wav")
    call = ("speech-commands", tmp_path / "gsc", "--out", tmp_path / "gsc.tsv", "--download", "--url", url)
    with pytest.raises(EarmarkError, match="2,428,923,189"):
        run(*call)
    with pytest.raises(EarmarkError, match="SHA-256"):
        run(*call, "--sha256", "0" * 64)
    assert list((tmp_path / "gsc").iterdir()) == []


def test_an_address_without_a_download_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--url: "):
        run("speech-commands", tmp_path, "--out", tmp_path / "m.tsv", "--url", "https://host/a.tar.gz")


def test_musan_is_counted_by_kind(tmp_path: Path) -> None:
    for name in ("music/fma/a.wav", "noise/free-sound/a.wav", "noise/sound-bible/b.wav"):
        (tmp_path / "musan" / name).parent.mkdir(parents=True)
        (tmp_path / "musan" / name).touch()
    out = tmp_path / "musan.tsv"
    assert run("musan", tmp_path / "musan", "--out", out) == f"{out}: 3 recordings (music 1, noise 2, speech 0)\n"
    assert {clip.split for clip in read_manifest(out)} == {"noise"}


def test_librispeech_is_counted_by_split(tmp_path: Path) -> None:
    for subset, speaker in (("train-clean-100", 19), ("dev-clean", 84)):
        chapter = tmp_path / "LibriSpeech" / subset / str(speaker) / "7"
        chapter.mkdir(parents=True)
        (chapter / f"{speaker}-7-0000.flac").touch()
        (chapter / f"{speaker}-7.trans.txt").write_text(f"{speaker}-7-0000 ONE OF THE FIRST\n")
    out = tmp_path / "libri.tsv"
    assert run("librispeech", tmp_path, "--out", out) == f"{out}: 2 sentences (train 1, val 1), 2 speakers\n"
    assert {clip.text for clip in read_manifest(out)} == {"ONE OF THE FIRST"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A manifest of six words by twelve test and twelve training speakers, a few of val, and one noise."""
    clips = [
        Clip(f"words/{word}/{split}{speaker:02}_{take}.wav", speaker=f"{split}{speaker}", label=word, split=split)
        for split, speakers in {"test": 12, "train": 12, "val": 2}.items()
        for word in ("yes", "no", "zoom in", "cat", "dog", "bed")
        for speaker in range(speakers)
        for take in range(2)
    ]
    for clip in clips:
        (tmp_path / clip.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / clip.path).touch()
    audio.write(tmp_path / "fan.wav", np.random.default_rng(0).normal(size=40_000).clip(-1, 1))
    noise = Clip("fan.wav", label="_background_noise_", split="noise")
    write_manifest(Manifest((*clips, noise), tmp_path), tmp_path / "corpus.tsv")
    return tmp_path / "corpus.tsv"


def lists_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.txt"))}


def test_lists_are_pairs_that_the_evaluation_reads(corpus: Path) -> None:
    out = corpus.parent / "few"
    shown = run(
        *("lists", corpus, "--keywords", "yes,zoom in", "--takes", "3,1", "--seeds", 2, "--out", out),
        *("--test-per-keyword", 10, "--test-per-impostor", 3, "--silence", 4),
    )
    assert "k3_s1" in shown
    assert f"evaluate with: earmark evaluate few-shot {out} --audio {corpus.parent}" in shown
    found = find_pairs(out, audio=corpus.parent)
    assert {name: len(pairs) for name, pairs in found.items()} == {"k1": 2, "k3": 2}
    first = found["k3"][0]
    assert first.keywords == ("yes", "zoom_in")
    assert len(first.enrollment) == 6
    counts = {label: sum(clip.label == label for clip in first.test) for label in {clip.label for clip in first.test}}
    assert counts == {"yes": 10, "zoom_in": 10, "no": 3, "cat": 3, "dog": 3, "bed": 3, "_silence_": 4}
    assert sorted(path.name for path in (out / "_silence_").iterdir()) == [f"00{number}.wav" for number in range(4)]


def test_the_same_command_draws_the_same_lists_and_the_same_silence(corpus: Path) -> None:
    call = ("lists", corpus, "--keywords", "yes", "--takes", 2, "--silence", 2, "--out")
    run(*call, corpus.parent / "a")
    run(*call, corpus.parent / "b")
    again = {name: text.replace("b/_silence_", "a/_silence_") for name, text in lists_in(corpus.parent / "b").items()}
    assert lists_in(corpus.parent / "a") == again
    one, other = (corpus.parent / name / "_silence_" / "001.wav" for name in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_paths_start_from_the_requested_folder(corpus: Path) -> None:
    out = corpus.parent / "few"
    run(
        "lists",
        corpus,
        "--keywords",
        "no",
        "--takes",
        1,
        "--seeds",
        1,
        "--out",
        out,
        "--audio",
        corpus.parent / "words",
    )
    assert (out / "enroll_k1_s0.txt").read_text().startswith("no no/test")


def test_no_file_is_in_two_lists_even_if_all_are_drawn_from_one_split(corpus: Path) -> None:
    out = corpus.parent / "few"
    shown = run(
        *("lists", corpus, "--keywords", "yes,no", "--takes", "1,2", "--seeds", 2, "--out", out, "--train-words"),
        *("cat,dog,yes", "--train-per-word", 30, "--train-from", "test", "--test-per-keyword", 4),
        *("--test-per-impostor", 4),
    )
    assert "train.txt: 90 lines of 3 words, " in shown
    training = read_list(out / "train.txt", audio=corpus.parent, repeats=True)
    used = {path for pairs in find_pairs(out).values() for pair in pairs for path in pair.paths}
    assert not used & {clip.path for clip in training}
    assert [clip.label for clip in training] == ["cat"] * 30 + ["dog"] * 30 + ["yes"] * 30


def test_lists_of_another_draw_are_not_mixed_in(corpus: Path) -> None:
    out = corpus.parent / "few"
    run("lists", corpus, "--keywords", "yes", "--takes", 5, "--out", out)
    with pytest.raises(InputError, match=r"--out: .*enroll_k5_s1\.txt"):
        run("lists", corpus, "--keywords", "yes", "--takes", 5, "--seeds", 1, "--out", out)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["--keywords", "yess"], "'yess': .*'yes'"),
        (["--keywords", ","], "--keywords: "),
        (["--keywords", "gsc/digits"], "--keywords: .*'gsc/digits'"),
        (["--keywords", "yes", "--takes", "0"], "--takes: "),
        (["--keywords", "yes", "--takes", "13"], "--takes: .*12 speakers"),
        (["--keywords", "yes", "--takes", "12"], "--takes: 12 takes"),
        (["--keywords", "yes", "--from", "dev"], "dev; .* noise, test, train"),
        (["--keywords", "yes", "--from", ","], "--from: "),
        (["--keywords", "yes", "--voices", "13"], "--voices: .* 12 speakers"),
    ],
)
def test_the_error_of_an_impossible_draw_is_one_line(corpus: Path, options: list[str], key: str) -> None:
    with pytest.raises(InputError, match=key) as refused:
        run("lists", corpus, "--out", corpus.parent / "few", "--takes", "1", *options)
    assert "\n" not in str(refused.value)
    assert not (corpus.parent / "few").exists()


def test_silence_needs_noise(corpus: Path) -> None:
    quiet = corpus.parent / "quiet.tsv"
    write_manifest(read_manifest(corpus).only("test"), quiet)
    call = ("lists", quiet, "--keywords", "yes", "--takes", 1, "--silence", 3, "--out", corpus.parent / "few")
    with pytest.raises(InputError, match=r"--silence: .*--noise"):
        run(*call)
    run(*call, "--noise", corpus)


def test_the_error_names_a_missing_recording(corpus: Path) -> None:
    (missing,) = (corpus.parent / "words" / "bed").glob("test03_1.wav")
    missing.unlink()
    with pytest.raises(InputError, match=r"bed/test03_1\.wav"):
        run("lists", corpus, "--keywords", "yes", "--out", corpus.parent / "few", "--any-speakers")


def test_open_set_lists_have_seen_and_unseen_words(corpus: Path) -> None:
    out = corpus.parent / "open"
    shown = run("open-set", corpus, "--targets", "yes,zoom in", "--out", out, "--seen", "cat,dog", "--silence", 3)
    assert "seen unknown words: cat, dog\nunseen unknown words: bed, no\n" in shown
    assert f"open-set {out} --targets yes,zoom_in --audio {corpus.parent}" in shown
    train, val, test = (
        read_list(out / f"{name}.txt", audio=corpus.parent, repeats=name == "train")
        for name in ("train", "val", "test")
    )
    assert (
        {clip.label for clip in train} == {clip.label for clip in val} == {"yes", "zoom_in", "cat", "dog", "_silence_"}
    )
    assert {clip.label for clip in test} == {"yes", "zoom_in", "cat", "dog", "bed", "no", "_silence_"}
    named = [clip.path for clip in (*train, *val, *test)]
    assert len(named) == len(set(named))
    assert len(train) == 4 * 24 + 3


def test_pairs_are_written_with_the_requested_sizes(corpus: Path) -> None:
    out = corpus.parent / "trials" / "pairs.txt"
    call = ("pairs", corpus, "--out", out, "--from", "test,train", "--anchors", 2, "--positives", 9, "--negatives", 3)
    assert run(*call, "--words", "yes,no,cat,dog") == f"{out}: 144 pairs of 4 words, 72 of them of one word\n"
    pairs = read_pairs(out, audio=corpus.parent)
    assert sum(pair.is_same for pair in pairs) == 72
    with pytest.raises(InputError, match="'bed'"):
        run("pairs", corpus, "--out", out)
    with pytest.raises(InputError, match=r"path 'words/zoom in/.*'"):
        run(*call, "--words", "yes,zoom in")


def test_lists_become_a_manifest(corpus: Path) -> None:
    out, folder = corpus.parent / "m.tsv", corpus.parent / "few"
    run("lists", corpus, "--keywords", "yes", "--takes", 1, "--seeds", 1, "--out", folder, "--train-words", "cat")
    lists = ("--train", folder / "train.txt", "--test", folder / "test_k1_s0.txt", "--audio", corpus.parent)
    shown = run("from-lists", *lists, "--out", out, "--speakers", corpus)
    assert shown == f"{out}: 156 clips (test 132, train 24), 6 labels, 23 speakers\n"
    made = read_manifest(out)
    original = {clip.path: clip for clip in read_manifest(corpus)}
    assert all(original[clip.path].speaker == clip.speaker for clip in made)
    named = run("from-lists", *lists, "--out", out, "--speaker-pattern", r"/([a-z]+\d+)_\d")
    assert named == shown


def test_the_error_names_lists_that_are_wrong_or_missing(corpus: Path) -> None:
    out = corpus.parent / "m.tsv"
    (corpus.parent / "train.txt").write_text("yes words/yes/absent.wav\n")
    with pytest.raises(InputError, match=r"train\.txt:1: .*absent\.wav"):
        run("from-lists", "--train", corpus.parent / "train.txt", "--audio", corpus.parent, "--out", out)
    with pytest.raises(InputError, match="--train"):
        run("from-lists", "--audio", corpus.parent, "--out", out)
    both = ("--speakers", corpus, "--speaker-pattern", "(x)")
    with pytest.raises(InputError, match="--speakers: "):
        run("from-lists", "--train", corpus.parent / "train.txt", "--audio", corpus.parent, "--out", out, *both)


COMMANDS = ["speech-commands", "musan", "librispeech", "lists", "open-set", "pairs", "from-lists"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    assert f"Example: earmark prepare {command}" in run(command, "--help")


def test_the_help_of_the_group_lists_every_command() -> None:
    shown = run("--help")
    assert all(command in shown for command in COMMANDS)
