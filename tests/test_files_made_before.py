"""Encoders, keyword stores, indexes and checkpoints written by version 0.1.0 (commit 88e34d0) still load."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import earmark
from earmark import audio, demo
from earmark.search import open_index, query_from_keyword, search

MADE = Path(__file__).parent / "golden" / "before_house"
EXPECTED = json.loads((MADE / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def home(tmp_path):
    """A copy: an open store may write."""
    shutil.copyfile(MADE / "home.earmark", tmp_path / "home.earmark")
    return tmp_path / "home.earmark"


def test_the_shipped_encoder_is_the_same():
    assert earmark.load_encoder().fingerprint == EXPECTED["fingerprint"]


def test_a_keyword_store_keeps_its_keywords_and_speakers(home):
    with earmark.KeywordStore(home) as store:
        keyword, speaker = store.get("hey jupiter"), store.get_speaker("ann")
    assert (keyword.threshold, keyword.duration_s) == (EXPECTED["threshold"], EXPECTED["duration_s"])
    assert (keyword.only_speaker, keyword.encoder) == ("ann", EXPECTED["fingerprint"])
    assert speaker.threshold == EXPECTED["speaker_threshold"]
    assert [len(kept.takes) for kept in (keyword, speaker)] == [2, 2]


def test_a_stored_keyword_detects_what_it_detected(home):
    with earmark.KeywordStore(home) as store:
        keyword, speaker = store.get("hey jupiter"), store.get_speaker("ann")
    # Both are converted: their scores are others than those of 0.1.0.
    with (
        pytest.warns(UserWarning, match="hey jupiter"),
        pytest.warns(UserWarning, match="'ann': a voice of"),
    ):
        detector = earmark.Detector([keyword], speakers=[speaker])
    times_s, scores = detector.scores(audio.read(demo.STREAM))
    best = max(EXPECTED["hits"], key=lambda hit: hit[2])
    assert times_s[scores.argmax()] == pytest.approx(best[1], abs=0.15)
    assert (detector.keywords[0].rate, keyword.rate) == (1, 1)


def test_exported_keywords_can_be_imported(tmp_path):
    with earmark.KeywordStore(tmp_path / "new.earmark") as store:
        assert store.import_from(MADE / "exported.earmark") == ["hey jupiter"]
        assert store.get_speaker("ann").name == "ann"


def test_an_exported_encoder_embeds_as_before():
    encoder = earmark.load_encoder(MADE / "little.onnx")
    assert encoder.fingerprint == EXPECTED["little"]["fingerprint"]
    assert encoder.card == EXPECTED["little"]["card"]
    wave = (np.random.default_rng(0).standard_normal(16_000) * 0.05).astype(np.float32)
    np.testing.assert_allclose(encoder.embed(wave), EXPECTED["little"]["embedding"], atol=1e-3)


@pytest.mark.parametrize("exact", [True, False])
def test_an_index_finds_what_it_found(home, exact):
    with earmark.KeywordStore(home) as store:
        query = query_from_keyword(store.get("hey jupiter"))
    hits = search(open_index(MADE / "talk.index"), query, top=2, exact=exact)
    found = [[hit.start_s, hit.end_s, hit.score] for hit in hits]
    np.testing.assert_allclose(found, EXPECTED["found"], atol=2e-3)


def test_a_checkpoint_is_read_with_the_current_names():
    from earmark.training.recipe import check_any_recipe
    from earmark.training.run.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(MADE / "little.safetensors")
    recipe = check_any_recipe(checkpoint.recipe, "little.safetensors")
    assert (recipe.name, recipe.optimizer.steps) == ("little", 40)
    assert recipe.data.words[0].license == "MIT"
