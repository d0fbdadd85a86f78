"""Keyword corpora of noise and made-up alignments; the tests of alignment use speech."""

import json
from pathlib import Path

import numpy as np
import pytest

from earmark.core.audio import SAMPLE_RATE, duration_s, read, write
from earmark.core.errors import EarmarkError, InputError
from earmark.data.alignment.forced import Word
from earmark.data.alignment.formats import Alignments
from earmark.data.keyword_corpus.corpus import Sources, cut_keywords
from earmark.data.keyword_corpus.cuts import CutRules
from earmark.data.keyword_corpus.report import KeywordReport
from earmark.data.lists.clip_lists import read_pairs
from earmark.data.manifest import Clip, Manifest, read_manifest

TEXTS = ("the bear sees the fox", "a fox sees bear", "the owl sees a fox and bear", "owl and bear")
RULES = CutRules(skip_common=1)


@pytest.fixture
def sentences(tmp_path: Path) -> Manifest:
    rng = np.random.default_rng(0)
    clips = []
    for number, text in enumerate(TEXTS):
        seconds = 0.5 * len(text.split()) + 1
        write(tmp_path / f"{number}.wav", rng.normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32))
        clips.append(Clip(f"{number}.wav", speaker="anna", split="train" if number else "", text=text))
    return Manifest(tuple(clips), tmp_path)


@pytest.fixture
def sources() -> Sources:
    """A word of 0.4 s every half second; all words are recognized except one owl."""
    words = {
        str(number): [Word(word, 0.5 + index / 2, 0.9 + index / 2, ()) for index, word in enumerate(text.split())]
        for number, text in enumerate(TEXTS)
    }
    recognized = {
        f"{word}_{number}_{index}": ("well", word)
        for number, text in enumerate(TEXTS)
        for index, word in enumerate(text.split())
    }
    return Sources(Alignments(Path("words.json"), words), recognized | {"owl_2_1": ("how", "all")})


def test_cuts_lead_to_the_sentences_with_a_second_around_each_word(
    sentences: Manifest, sources: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "manifest.parquet"
    report = cut_keywords(sentences, out, RULES, sources)
    wide, alone = read_manifest(out), read_manifest(out.with_stem("tight"))
    assert [(clip.label, clip.text, clip.speaker) for clip in wide] == [
        (clip.label, clip.text, clip.speaker) for clip in alone
    ]
    assert {clip.split for clip in wide} == {"train"}
    assert "bear" not in {clip.label for clip in wide}  # the most frequent word
    assert report.kept == {"fox": 3, "sees": 3, "the": 3, "and": 2, "owl": 1}
    assert report.dropped == {
        "too few letters": 2, "one of the most frequent words": 4, "not recognized": 1,
    }  # fmt: skip
    assert report.aligned["owl"] == 2
    for one, other in zip(wide, alone, strict=True):
        assert wide.locate(one).resolve() == (tmp_path / Path(one.path).name).resolve()
        assert (one.end_s or 0) - one.start_s == pytest.approx(1.0)
        assert (other.end_s or 0) - other.start_s == pytest.approx(0.44)
        assert one.start_s + (one.end_s or 0) == pytest.approx(other.start_s + (other.end_s or 0))


def test_the_report_counts_every_word_once(sentences: Manifest, sources: Sources, tmp_path: Path) -> None:
    report = cut_keywords(sentences, tmp_path / "out" / "manifest.tsv", RULES, sources)
    assert report.aligned_words == report.clips + sum(report.dropped.values()) == 19
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored["kept"] == report.kept
    assert stored["dropped"] == report.dropped
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| one of the most frequent words | 4 | 21.1 % |" in page
    assert "| **kept** | 12 | 63.2 % |" in page
    assert "owl 1 of 2" in page


def test_without_recognizer_all_cuts_are_kept(sentences: Manifest, sources: Sources, tmp_path: Path) -> None:
    report = cut_keywords(
        sentences, tmp_path / "out" / "manifest.tsv", RULES, Sources(sources.alignments, recognizer=None)
    )
    assert report.kept["owl"] == 2
    assert not (tmp_path / "out" / "hypotheses.jsonl").exists()


def test_validation_words_are_written_as_files_with_a_list_of_pairs(
    sentences: Manifest, sources: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "manifest.parquet"
    rules = CutRules(skip_common=1, min_clips=2, words=2, val_words=2)
    report = cut_keywords(sentences, out, rules, sources)
    clips = read_manifest(out)
    assert {clip.label for clip in clips.only("val")} == set(report.val_words) == {"the", "and"}
    assert {clip.label for clip in clips.only("train")} == {"fox", "sees"}
    pairs = read_pairs(tmp_path / "out" / "val_pairs.txt", audio=tmp_path / "out" / "clips")
    # Two anchors of each word; each anchor has one clip of the same word and one clip of the other word.
    assert len(pairs) == report.pairs == 8
    assert sum(pair.is_same for pair in pairs) == 4
    for pair in pairs:
        assert pair.is_same == (pair.first.split("/")[0] == pair.second.split("/")[0])
    files = read_manifest(tmp_path / "out" / "clips" / "manifest.parquet")
    assert {clip.split for clip in files} == {"val"}
    assert len(files) == 5


def test_cuts_can_be_written_as_files(sentences: Manifest, sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "out" / "manifest.tsv"
    report = cut_keywords(sentences, out, RULES, sources, write_audio=True, workers=2)
    assert len(list((tmp_path / "out" / "clips").rglob("*.flac"))) == report.clips
    whole = read(tmp_path / "0.wav")
    part = read(tmp_path / "out" / "clips" / "fox" / "fox_0_4.flac")
    assert np.array_equal(part, whole[round(2.2 * SAMPLE_RATE) : round(3.2 * SAMPLE_RATE)])
    assert duration_s(tmp_path / "out" / "clips" / "fox" / "fox_1_1.flac") == pytest.approx(1.0)


def test_pairs_of_an_earlier_run_are_removed(sentences: Manifest, sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "out" / "manifest.tsv"
    cut_keywords(sentences, out, CutRules(skip_common=1, min_clips=2, words=2, val_words=2), sources)
    cut_keywords(sentences, out, RULES, sources)
    assert not (tmp_path / "out" / "val_pairs.txt").exists()


def test_the_same_call_gives_the_same_files(sentences: Manifest, sources: Sources, tmp_path: Path) -> None:
    rules = CutRules(skip_common=1, min_clips=2, words=2, val_words=2)
    written = []
    for folder in ("one", "two"):
        cut_keywords(sentences, tmp_path / folder / "manifest.tsv", rules, sources)
        written.append(
            [(tmp_path / folder / name).read_bytes() for name in ("manifest.tsv", "tight.tsv", "val_pairs.txt")]
        )
    assert written[0] == written[1]


def test_words_alone_are_the_manifest_when_the_length_is_zero(
    sentences: Manifest, sources: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "manifest.tsv"
    cut_keywords(sentences, out, CutRules(length_s=0, margin_s=0.05, skip_common=1), sources)
    assert all((clip.end_s or 0) - clip.start_s == pytest.approx(0.5) for clip in read_manifest(out))
    assert not out.with_stem("tight").exists()


def test_the_error_without_clips_names_the_reasons(sentences: Manifest, sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(
        EarmarkError, match=r"no clip is left: too few letters \(2\), one of the most frequent words \(17\)"
    ):
        cut_keywords(sentences, tmp_path / "out" / "manifest.tsv", CutRules(), sources)
    assert not (tmp_path / "out" / "manifest.tsv").exists()


def test_hypotheses_of_other_cuts_are_refused(sentences: Manifest, sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hypotheses"):
        cut_keywords(sentences, tmp_path / "out" / "manifest.tsv", RULES, Sources(sources.alignments, {"x": ("bear",)}))


def test_sentences_without_text_or_sound_are_refused(sentences: Manifest, tmp_path: Path) -> None:
    mute = Manifest((Clip("0.wav", label="the bear"),), tmp_path)
    with pytest.raises(InputError, match="text_from"):
        cut_keywords(mute, tmp_path / "out" / "manifest.tsv", RULES)
    with pytest.raises(InputError, match=r"absent\.wav"):
        cut_keywords(Manifest((Clip("absent.wav", text="bear"),), tmp_path), tmp_path / "out" / "m.tsv", RULES)
    with pytest.raises(InputError, match=r"out: .*tight\.tsv"):
        cut_keywords(sentences, tmp_path / "out" / "tight.tsv", RULES)
    with pytest.raises(InputError, match=r"out: .*words\.txt"):
        cut_keywords(sentences, tmp_path / "out" / "words.txt", RULES)


def test_the_report_of_nothing_is_still_a_page() -> None:
    from earmark.data.keyword_corpus.report import as_markdown

    empty = KeywordReport({}, 0, 0, 0.0, {}, {}, 0, {}, {}, {}, (), 0.0)
    assert "| aligned | 0 |  |" in as_markdown(empty)
