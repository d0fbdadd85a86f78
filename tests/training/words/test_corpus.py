import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.training.words.corpus import open_or_pack, prepare_corpus, selected, validation_bank
from earmark.training.words.recipe import Source, parse_recipe


def test_a_source_names_a_split_a_prefix_and_what_is_left_out(corpus):
    source = Source(manifest=corpus / "learn.tsv", split="train", prefix="t:", exclude=("bow", "dip"))
    assert {clip.label for clip in selected(source)} == {"t:rise", "t:fall"}
    with pytest.raises(InputError, match=r"learn\.tsv: .*'test'"):
        selected(Source(manifest=corpus / "learn.tsv", split="test"))


def test_a_bank_is_packed_once_and_again_when_its_clips_change(corpus, tmp_path):
    learn = selected(Source(manifest=corpus / "learn.tsv"))
    folder = tmp_path / "bank"
    assert len(open_or_pack([learn], folder)) == 16
    made = (folder / "samples.i16").stat().st_ino
    open_or_pack([learn], folder)
    assert (folder / "samples.i16").stat().st_ino == made
    fewer = selected(Source(manifest=corpus / "learn.tsv", exclude=("rise",)))
    assert len(open_or_pack([fewer], folder)) == 12


def prepared(table, tmp_path, **data):
    return prepare_corpus(parse_recipe(table | {"data": table["data"] | data}, tmp_path, "recipe"))


def test_sounds_are_of_no_class(table, tmp_path, corpus):
    found = prepared(table, tmp_path, sounds=[{"manifest": str(corpus / "validation.tsv")}])
    assert found.classes == ("bow", "dip", "fall", "rise")
    assert len(found.background) == 14
    assert (found.bank.label[found.background] == -1).all()
    for number, clips in found.clips.items():
        assert {found.bank.labels[label] for label in found.bank.label[clips]} == {found.classes[number]}


@pytest.mark.parametrize(
    ("others", "classes", "background"),
    [("class", ("dip", "rise", "_unknown_"), 0), ("background", ("dip", "rise"), 8), ("leave-out", ("dip", "rise"), 0)],
)
def test_what_is_no_target_is_one_class_or_background_or_left_out(table, tmp_path, others, classes, background):
    found = prepared(table, tmp_path, targets=["rise", "dip"], others=others)
    assert found.classes == classes
    assert len(found.background) == background
    assert sum(map(len, found.clips.values())) == 16 - 8 * (others != "class")


def test_a_target_without_clips_is_refused(table, tmp_path):
    with pytest.raises(InputError, match=r"^data\.targets: .*'dive'"):
        prepared(table, tmp_path, targets=["dive"])


def test_silence_is_one_more_class_for_clips_of_one_length(table, tmp_path):
    table |= {
        "encoder": {"kind": "res", "depth": 8, "maps": 2},
        "scenes": {"kind": "center_crop"},
        "augment": {"kind": "one_of"} | {effect: {"weight": 0} for effect in ("room", "noise", "music", "speech")},
    }
    found = prepared(table, tmp_path, silence=True)
    assert found.classes[-1] == "_silence_"
    assert {*found.clips[4].tolist()} == {-1}
    assert np.ptp(found.bank.spoken - np.stack([0 * found.bank.length, found.bank.length], axis=1)) == 0


def test_the_word_for_silence_is_no_word(table, tmp_path, corpus):
    lines = (corpus / "learn.tsv").read_text(encoding="utf-8").replace("\trise\t", "\t_silence_\t")
    (corpus / "silent.tsv").write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match=r"^data\.words: .*_silence_"):
        prepared(table, tmp_path, words=[{"manifest": str(corpus / "silent.tsv")}])


def test_validation_clips_are_a_bank_of_their_own(recipe, table, tmp_path):
    bank = validation_bank(recipe)
    assert bank is not None
    assert bank.labels == ("high", "low")
    del table["data"]["validation"]
    assert validation_bank(parse_recipe(table, tmp_path, "recipe")) is None
