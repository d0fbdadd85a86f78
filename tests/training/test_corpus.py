import pytest
import torch

from earmark.errors import InputError
from earmark.training.corpus import open_or_pack, prepare_corpus, selected, validation_bank
from earmark.training.recipe import Source, parse_recipe

CPU = torch.device("cpu")


def test_a_source_names_a_split_a_prefix_and_what_is_left_out(corpus):
    source = Source(manifest=corpus / "learn.tsv", split="train", prefix="t:", exclude=("bow", "dip"))
    assert {clip.label for clip in selected(source)} == {"t:rise", "t:fall"}
    with pytest.raises(InputError, match=r"learn\.tsv: no clips of the split 'test' are left"):
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


def test_sounds_have_no_label_and_draws_are_augmented(table, tmp_path, corpus):
    table["data"]["sounds"] = [{"manifest": str(corpus / "judge.tsv")}]
    prepared = prepare_corpus(parse_recipe(table, tmp_path, "recipe"), CPU)
    assert len(prepared.sounds) == 14
    assert (prepared.bank.label[prepared.sounds] == -1).all()
    scenes, frames = prepared.draw(torch.arange(5), torch.Generator().manual_seed(0))
    assert scenes.waves.shape == (5, round(1.3 * 16_000))
    assert scenes.waves.abs().max() <= 1
    assert frames is None


def test_validation_clips_are_a_bank_of_their_own(recipe, table, tmp_path):
    assert validation_bank(recipe).labels == ("high", "low")
    del table["data"]["validation"]
    assert validation_bank(parse_recipe(table, tmp_path, "recipe")) is None
