import pytest
from pydantic import ValidationError

from earmark.core.errors import InputError
from earmark.data.alignment.forced import Alignment, Phone, Word
from earmark.data.lists.segments import SpeechSegment, read_segments, write_segments
from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip
from earmark.data.segments.ngrams import NgramRules, ngrams, stem, transcribe, units_of

CLIP = Clip("a.wav", speaker="anna")


def words(*texts, start_s=0.0, length_s=0.2, gap_s=0.0):
    """An alignment of words without pauses between them."""
    step_s = length_s + gap_s
    return Alignment(
        tuple(
            Word(text, round(start_s + place * step_s, 6), round(start_s + place * step_s + length_s, 6))
            for place, text in enumerate(texts)
        )
    )


def labels(alignment, sections=None, **rules):
    found = ngrams([CLIP], [alignment], NgramRules(**{"unit": "words", "n": (1, 2), **rules}), sections=sections)
    return [segment.label for segment in found]


def test_all_ngrams_of_a_sentence_are_listed_with_their_places():
    found = list(ngrams([CLIP], [words("we", "call", "it")], NgramRules(unit="words", n=(1, 2))))
    assert [(s.label, s.start_s, s.end_s) for s in found] == [
        ("we", 0.0, 0.2),
        ("we,call", 0.0, 0.4),
        ("call", 0.2, 0.4),
        ("call,it", 0.2, 0.6),
        ("it", 0.4, 0.6),
    ]
    assert {segment.section for segment in found} == {Span("a.wav", "anna", 0.0, 0.6)}


def test_phone_ngrams_span_words():
    hello = Word("hi", 0.0, 0.2, (Phone("HH", 0.0, 0.1), Phone("AY", 0.1, 0.2)))
    ann = Word("ann", 0.2, 0.5, (Phone("AE", 0.2, 0.35), Phone("sil", 0.35, 0.4), Phone("N", 0.4, 0.5)))
    found = ngrams([CLIP], [Alignment((hello, ann))], NgramRules(unit="phones", n=(3, 4)))
    assert [segment.label for segment in found] == ["HH,AY,AE", "HH,AY,AE,N", "AY,AE,N"]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_repeated_words_are_all_listed_and_read_back_down_to_the_last(tmp_path, count):
    found = list(ngrams([CLIP], [words(*["no"] * count)], NgramRules(unit="words", n=(1, 1))))
    assert len(found) == count
    write_segments(found, tmp_path / "list.txt")
    assert list(read_segments(tmp_path / "list.txt")) == found


@pytest.mark.parametrize(("fewest", "most", "count"), [(1, 1, 6), (2, 2, 5), (1, 5, 20), (6, 9, 1), (7, 9, 0)])
def test_there_are_as_many_ngrams_as_the_formula_says(fewest, most, count):
    assert len(labels(words(*"abcdef"), n=(fewest, most))) == count


def test_no_ngram_spans_a_long_pause():
    alignment = Alignment((*words("a", "b").words, *words("c", start_s=0.8).words))
    assert labels(alignment) == ["a", "a,b", "b", "c"]
    assert "b,c" in labels(alignment, gap_s=0.5)


def test_ngrams_that_are_too_short_or_too_long_are_dropped():
    assert labels(words("a", "b", "c"), shortest_s=0.3) == ["a,b", "b,c"]
    assert labels(words("a", "b", "c"), longest_s=0.3) == ["a", "b", "c"]


def test_ngrams_are_inside_given_sections():
    alignment = words("a", "b", "c", "d")
    sections = {"a": [Span("a.wav", "anna", 0.0, 0.4), Span("a.wav", "anna", 0.5, 0.9)]}
    assert labels(alignment, sections) == ["a", "a,b", "b", "d"]
    with pytest.raises(InputError, match=r"sections: .* b"):
        labels(alignment, {"b": []})


def test_segments_are_labeled_by_units_with_their_middle_inside():
    section = Span("a.wav", "anna", 0.0, 1.0)
    segments = [
        SpeechSegment(section, start, end) for start, end in ((0.0, 0.2), (0.05, 0.32), (0.11, 0.2), (0.9, 1.0))
    ]
    units = {"a": units_of(words("a", "b"), "words")}
    found = list(transcribe(segments, units, NgramRules(unit="words")))
    assert [(segment.start_s, segment.end_s, segment.label) for segment in found] == [
        (0.0, 0.2, "a"),
        (0.05, 0.32, "a,b"),
    ]
    with pytest.raises(InputError, match=r"segments: .* b"):
        list(transcribe([SpeechSegment(Span("b.wav", "", 0, 1), 0, 1)], units))


def test_words_without_phones_are_refused_with_the_cure():
    with pytest.raises(InputError, match=r"a\.wav") as caught:
        list(ngrams([CLIP], [words("yes")]))
    assert caught.value.key == "unit"


def test_a_comma_in_a_word_is_refused():
    with pytest.raises(InputError, match="'a,b'"):
        labels(words("a,b"))


@pytest.mark.parametrize(
    "rules", [{"n": (0, 5)}, {"n": (3, 2)}, {"shortest_s": 0.0}, {"longest_s": 0.05}, {"gap_s": -1.0}]
)
def test_wrong_rules_are_refused(rules):
    with pytest.raises(ValidationError, match=next(iter(rules))):
        NgramRules(**rules)


def test_one_number_of_units_is_the_smallest_and_the_largest():
    assert NgramRules(n=[3]).n == (3, 3)


def test_only_suffixes_of_audio_files_are_removed():
    assert [stem(path) for path in ("x/a.WAV", "x.y/a", "a.b.flac")] == ["x/a", "x.y/a", "a.b"]
