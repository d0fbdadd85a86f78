from collections import Counter
from pathlib import Path

import pytest

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import read_pairs
from earmark.data.lists.split_lists import read_split_list
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest
from tests.cli.prepare import run


@pytest.fixture
def corpus(tmp_path):
    """A manifest of four training speakers with nine utterances each, three others with four, and a noise."""
    clips = [
        Clip(f"wav/{split}{speaker}/{number}.wav", speaker=f"{split}{speaker}", split=split)
        for split, speakers, count in (("train", 4, 9), ("test", 3, 4))
        for speaker in range(speakers)
        for number in range(count)
    ]
    clips.append(Clip("hum.wav", split="noise"))
    for clip in clips:
        place = tmp_path / "corpus" / clip.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    write_manifest(Manifest(tuple(clips), tmp_path / "corpus"), tmp_path / "corpus" / "manifest.tsv")
    return tmp_path / "corpus" / "manifest.tsv"


def test_lists_and_manifest_have_the_same_splits(corpus, tmp_path):
    out = tmp_path / "out"
    shown = run("speakers", corpus, "--verify-split", "test", "--out", out)
    assert shown.splitlines() == [
        f"{out / 'iden_split.txt'}: 4 speakers, 36 utterances (train 12, val 8, test 16)",
        f"{out / 'veri_test.txt'}: 3 speakers, 66 pairs, 18 of them of one speaker",
        f"{out / 'manifest.tsv'}: 49 clips",
        f"paths in the lists start from {corpus.parent}",
        f"evaluate with: earmark evaluate verify {out / 'veri_test.txt'} --audio {corpus.parent}",
    ]
    manifest = read_manifest(out / "manifest.tsv")
    listed = {(corpus.parent / line.path, line.split) for line in read_split_list(out / "iden_split.txt")}
    assert listed == {(manifest.locate(clip), clip.split) for clip in manifest.only("train", "val", "test")}
    assert Counter(clip.split for clip in manifest) == {"train": 12, "val": 8, "test": 16, "unseen": 12, "noise": 1}
    read_pairs(out / "veri_test.txt", audio=corpus.parent)


def test_the_same_seed_gives_the_same_lists(corpus, tmp_path):
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        run("speakers", corpus, "--verify-split", "test", "--pairs", 20, "--seed", seed, "--out", tmp_path / name)
    texts = {
        name: [(tmp_path / name / file).read_text() for file in ("iden_split.txt", "veri_test.txt")] for name in "abc"
    }
    assert texts["a"] == texts["b"]
    assert all(one != other for one, other in zip(texts["a"], texts["c"], strict=True))
    pairs = read_pairs(tmp_path / "a" / "veri_test.txt")
    assert (len(pairs), sum(pair.is_same for pair in pairs)) == (20, 10)


def test_without_others_there_is_no_list_of_pairs(corpus, tmp_path):
    shown = run("speakers", corpus, "--out", tmp_path / "out", "--audio", tmp_path)
    command = f"earmark evaluate identify {tmp_path / 'out' / 'iden_split.txt'} --audio {tmp_path} --encoder CHECKPOINT"
    assert shown.splitlines()[-2:] == [
        f"paths in the lists start from {tmp_path}",
        f"evaluate an encoder trained on them with: {command}",
    ]
    assert not (tmp_path / "out" / "veri_test.txt").exists()
    assert read_split_list(tmp_path / "out" / "iden_split.txt")[0].path.startswith("corpus/wav/train0/")


def test_speakers_with_too_few_utterances_are_an_error_or_dropped(corpus, tmp_path):
    with pytest.raises(InputError, match=r"--skip-few: 4 of 4 speakers .*train0 \(9\)"):
        run("speakers", corpus, "--test", 7, "--out", tmp_path / "out")
    text = corpus.read_text().replace("\ttrain0\t", "\ttrain1\t", 5)
    corpus.write_text(text)
    shown = run("speakers", corpus, "--skip-few", "--out", tmp_path / "out")
    assert "3 speakers" in shown
    assert "dropped: 1 speakers with too few utterances" in shown


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--pairs", 20], "--pairs: "),
        (["--verify-split", "train"], "--verify-split: "),
        (["--verify-split", "dev"], "dev"),
        (["--split", "noise"], "hum.wav"),
    ],
)
def test_options_that_do_not_go_together_are_refused(corpus, tmp_path, words, key):
    with pytest.raises(InputError, match=key):
        run("speakers", corpus, *words, "--out", tmp_path / "out")


def test_voxceleb_counts_found_and_missing_recordings(tmp_path):
    lines = [
        f"{1 if number else 3} {speaker}/video/{number}.wav"
        for speaker in ("id10001", "id10270")
        for number in range(3)
    ]
    (tmp_path / "iden_split.txt").write_text("\n".join(lines))
    for line in lines[1:]:
        place = tmp_path / "vox" / "wav" / line[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    command = ["voxceleb", tmp_path / "vox", "--list", tmp_path / "iden_split.txt", "--mode", "verification"]
    out = Path(tmp_path / "manifest.tsv")
    with pytest.raises(InputError, match="1 of 6 recordings"):
        run(*command, "--out", out)
    assert not out.exists()
    assert run(*command, "--skip-missing", "--out", out).splitlines() == [
        "dropped: 1 missing recordings",
        f"{out}: 5 utterances (train 2 of 1 speakers, test 3 of 1 speakers)",
    ]
    assert {clip.speaker: clip.split for clip in read_manifest(out)} == {"id10001": "train", "id10270": "test"}
