from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from earmark.core.audio import write
from earmark.core.errors import InputError
from earmark.data.alignment.forced import Alignment, Word
from earmark.data.keyword_corpus.cuts import (
    CutRules,
    WordCut,
    character_error_rate,
    choose_words,
    confirm_cuts,
    count_matches,
    cut_words,
    enough_clips,
    most_frequent,
    sentence_ends,
    sentence_names,
    tight,
    window,
)
from earmark.data.manifest import Clip, Manifest

LETTERS = st.text("abc", min_size=1, max_size=6)
PLAIN = CutRules(skip_common=0, min_letters=1)


def cuts_of(*labels: str) -> list[WordCut]:
    clip = Clip("/corpus/1.wav", 0.0, 9.0, split="train")
    return [
        WordCut(f"{label}_1_{number}", label, clip, Word(label, number, number + 0.4), number, number + 1.0)
        for number, label in enumerate(labels)
    ]


def cut(words: Sequence[Word], rules: CutRules = PLAIN, end_s: float = 5.0) -> tuple[list[WordCut], Counter[str]]:
    manifest = Manifest((Clip("1.wav", speaker="anna", split="train", text="…"),))
    found, dropped = cut_words(manifest, [end_s], [Alignment(tuple(words))], rules)
    return found, +dropped


def plain_edit_distance(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    return min(
        plain_edit_distance(one[1:], other) + 1,
        plain_edit_distance(one, other[1:]) + 1,
        plain_edit_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(LETTERS, LETTERS)
def test_the_character_error_rate_is_the_edit_distance_over_the_labels_length(label: str, recognized: str) -> None:
    assert character_error_rate(label, recognized) == pytest.approx(plain_edit_distance(label, recognized) / len(label))


@pytest.mark.parametrize(
    ("label", "recognized", "matches"),
    [
        ("piece", ["piece"], 1),
        ("piece", [], 0),
        ("piece", ["peace"], 0),
        ("mountains", ["the", "mountain", "is"], 1),
        ("mountain", ["mountains", "mountain"], 2),
        ("what's", ["whats"], 1),
        ("whats", ["what's", "it"], 1),
        ("cat", ["cats"], 0),
        ("place", ["places", "in"], 1),
    ],
)
def test_a_recognized_word_matches_within_a_fifth_of_its_letters(
    label: str, recognized: list[str], matches: int
) -> None:
    assert count_matches(label, recognized, 0.2) == matches


def test_a_cut_is_kept_if_its_word_is_recognized_exactly_once() -> None:
    cuts = cuts_of("bear", "bear", "bear", "bear")
    recognized = {"bear_1_0": ["a", "bear"], "bear_1_1": ["bear", "bear"], "bear_1_2": ["pear"]}
    kept, dropped = confirm_cuts(cuts, lambda each: recognized.get(each.name), PLAIN)
    assert [each.name for each in kept] == ["bear_1_0"]
    assert dropped == {"recognized more than once": 1, "not recognized": 1, "no hypothesis": 1}


@given(st.floats(0.0, 8.0), st.floats(0.05, 0.95))
def test_a_cut_is_a_second_around_its_word_unless_the_sentence_ends_before(start_s: float, word_s: float) -> None:
    sentence = (0.0, 9.0)
    first, last = window(start_s, start_s + word_s, length_s=1.0, sentence=sentence)
    assert sentence[0] <= first <= start_s + 1e-4
    assert start_s + word_s - 1e-4 <= last <= sentence[1]
    if first > 0 and last < 9:
        assert last - first == pytest.approx(1.0, abs=2e-4)
        assert first + last == pytest.approx(2 * start_s + word_s, abs=2e-4)


def test_a_tight_cut_keeps_a_margin_inside_the_sentence() -> None:
    assert tight(Word("a", 1.0, 1.3), 0.05, (0.0, 9.0)) == (0.95, 1.35)
    assert tight(Word("a", 0.01, 8.99), 0.05, (0.0, 9.0)) == (0.0, 9.0)


def test_cuts_keep_speaker_and_file_and_are_named_by_word_sentence_and_place() -> None:
    (first, second), dropped = cut([Word("we", 0.5, 0.8), Word("what's", 1.0, 1.6)])
    assert not dropped
    assert (first.name, second.name) == ("we_1_0", "what's_1_1")
    assert (second.start_s, second.end_s, second.clip.speaker) == (0.8, 1.8, "anna")
    assert Path(second.clip.path).is_absolute()


def test_every_word_that_is_not_cut_is_counted_under_the_first_reason() -> None:
    words = [
        Word("a", 0.0, 0.5),
        Word("the", 0.5, 0.8),
        Word("the", 0.8, 0.9),
        Word("seven", 1.0, 1.5),
        Word("ox", 1.5, 1.6),
        Word("incomprehensibilities", 1.6, 3.0),
        Word("bear", 3.0, 3.4),
    ]
    found, dropped = cut(words, CutRules(skip_common=1, exclude=frozenset({"seven"})))
    assert [each.label for each in found] == ["bear"]
    assert dropped == {
        "too few letters": 1,
        "one of the most frequent words": 2,
        "excluded word": 1,
        "too short": 1,
        "too long": 1,
    }
    assert list(dropped) == [
        "too few letters",
        "one of the most frequent words",
        "excluded word",
        "too short",
        "too long",
    ]


def test_without_a_length_a_word_is_cut_alone_however_long() -> None:
    (long,), _ = cut([Word("bear", 1.0, 2.5)], CutRules(length_s=0, margin_s=0.1, skip_common=0))
    assert (long.start_s, long.end_s) == (0.9, 2.6)


def test_the_commonest_words_are_counted_among_those_with_enough_letters() -> None:
    counts = {"a": 9, "i'": 8, "the": 5, "to": 5, "bear": 1}
    assert most_frequent(counts, CutRules(skip_common=2)) == ["the", "to"]
    assert most_frequent(counts, CutRules(skip_common=0)) == []


def test_an_excluded_word_is_excluded_with_its_apostrophe_too() -> None:
    found, _ = cut([Word("cat's", 1.0, 1.5)], CutRules(skip_common=0, exclude=frozenset({"cats"})))
    assert found == []


def test_words_with_too_few_clips_are_dropped() -> None:
    kept, dropped = enough_clips(cuts_of("bear", "bear", "fox"), CutRules(min_clips=2), "rare")
    assert [each.label for each in kept] == ["bear", "bear"]
    assert dropped == {"rare": 1}


def test_validation_words_are_the_next_after_those_for_training() -> None:
    cuts = cuts_of(*["bear"] * 4, *["fox"] * 3, *["owl"] * 3, *["elk"] * 2, "ape")
    train, val, dropped = choose_words(cuts, CutRules(words=1, val_words=2))
    assert {each.label for each in train} == {"bear"}
    assert {each.label for each in val} == {"fox", "owl"}
    assert dropped == {"word not among the requested": 3}


def test_the_draw_of_a_word_with_many_clips_does_not_depend_on_other_words() -> None:
    few = CutRules(max_clips=5)
    bears, _, dropped = choose_words(cuts_of(*["bear"] * 50), few)
    both, _, _ = choose_words(cuts_of(*["bear"] * 50, *["fox"] * 9), few)
    other, _, _ = choose_words(cuts_of(*["bear"] * 50), CutRules(max_clips=5, seed=1))
    assert len(bears) == 5
    assert dropped == {"more clips of the word than requested": 45}
    assert [each.name for each in both if each.label == "bear"] == [each.name for each in bears]
    assert other != bears


def test_too_many_requested_words_are_an_error() -> None:
    with pytest.raises(InputError, match="words: "):
        choose_words(cuts_of("bear", "fox", "owl"), CutRules(words=2, val_words=2))


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"length_s": -1}, "length_s"),
        ({"margin_s": float("nan")}, "margin_s"),
        ({"min_clips": 0}, "min_clips"),
        ({"val_words": 3}, "val_words: .*words"),
        ({"words": 3, "val_words": 1}, "val_words"),
        ({"max_clips": 2, "min_clips": 3}, "max_clips: .*min_clips"),
    ],
)
def test_wrong_rules_are_refused_by_their_key(wrong: dict[str, float], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        CutRules.model_validate(wrong)


def test_sentences_of_equal_file_names_have_different_names() -> None:
    clips = (Clip("x/anna/1.wav"), Clip("x/bob/1.wav"), Clip("y/bob/1.wav"), Clip("2.wav"), Clip("2.wav", start_s=3.2))
    assert sentence_names(Manifest(clips)) == ["anna-1", "x-bob-1", "y-bob-1", "2", "2-3200"]


def test_a_sentence_ends_with_its_clip_or_its_file(tmp_path: Path) -> None:
    write(tmp_path / "1.wav", np.zeros(24_000, np.float32))
    manifest = Manifest((Clip("1.wav"), Clip("1.wav", 0.5, 1.25)), tmp_path)
    assert sentence_ends(manifest) == [1.5, 1.25]
    with pytest.raises(InputError, match=r"absent\.wav"):
        sentence_ends(Manifest((Clip("absent.wav"),), tmp_path))
