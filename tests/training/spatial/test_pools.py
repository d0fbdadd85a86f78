import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.training.spatial.pools import draw_sample, prepare_pools
from earmark.training.spatial.position import choose_anchors, positions
from earmark.training.spatial.settings import Sizes
from tests.training.spatial.recipes import parse_spatial


@pytest.fixture
def pools_of(tmp_path):
    def make(table):
        settings = parse_spatial(table, tmp_path, "recipe")
        return prepare_pools(settings.data, settings.autoencoder.encoder)

    return make


def test_clips_keep_their_names_speakers_and_words(pools_of, spatial_table):
    pools = pools_of(spatial_table)
    assert pools.classes == ("bow", "fall", "rise")
    assert [len(pools.unlabeled), len(pools.labeled), len(pools.test)] == [36, 24, 24]
    for role, split in ((pools.unlabeled, "train"), (pools.labeled, "val"), (pools.test, "test")):
        for number in role:
            word, of, voice, _ = pools.paths[number].removesuffix(".wav").split("_")
            assert of == split
            assert pools.speakers[number] == f"{split} {voice}"
            assert pools.labels[number] == (-1 if split == "train" else pools.classes.index(word))
    assert pools.mfcc.shape == (84, 640)
    assert pools.mel.shape == (36, 4096)


def test_features_are_those_of_the_clip_that_is_named(pools_of, spatial_table):
    # The same recordings in another order, and without the others.
    few = spatial_table | {"data": spatial_table["data"] | {"folder": spatial_table["data"]["folder"] + "-few"}}
    few["data"]["labeled"] = [few["data"]["labeled"][0] | {"labels": ["rise"]}]
    many, some = pools_of(spatial_table), pools_of(few)
    assert len(some.labeled) == 8
    rows = {path: row for path, row in zip(many.paths, many.mfcc, strict=True)}
    for path, row in zip(some.paths, some.mfcc, strict=True):
        assert np.allclose(row, rows[path], atol=1e-3)
    spectra = dict(zip(many.paths[many.unlabeled], many.mel, strict=True))
    for path, row in zip(some.paths[some.unlabeled], some.mel, strict=True):
        assert np.allclose(row, spectra[path])


def test_each_draw_is_another(pools_of, spatial_table):
    pools = pools_of(spatial_table)
    draws = [
        draw_sample(pools, Sizes(unlabeled=30, labeled=20, test=20), np.random.default_rng(seed)) for seed in (1, 1, 2)
    ]
    for role in ("unlabeled", "labeled", "test"):
        first, again, other = (getattr(one, role) for one in draws)
        assert np.array_equal(first, again)
        assert {*first.tolist()} != {*other.tolist()}
        assert len({*first.tolist()}) == len(first)


def test_nobody_both_labels_and_tests(pools_of, spatial_table):
    spatial_table["data"]["speakers"] = "drawn"
    pools = pools_of(spatial_table)
    halves = set()
    for seed in range(6):
        drawn = draw_sample(pools, Sizes(unlabeled=0, labeled=0, test=0), np.random.default_rng(seed))
        labeling, testing = ({*pools.speakers[rows]} for rows in (drawn.labeled, drawn.test))
        assert not labeling & testing
        assert len(labeling) == len(testing) == 4
        assert len(drawn.labeled) + len(drawn.test) == 48
        halves.add(frozenset(labeling))
    assert len(halves) > 1


def test_drawn_speakers_need_no_test_clips_of_their_own(pools_of, spatial_table):
    del spatial_table["data"]["test"]
    with pytest.raises(InputError, match=r"data: test: "):
        pools_of(spatial_table)
    spatial_table["data"]["speakers"] = "drawn"
    assert len(pools_of(spatial_table).labeled) == 24


def test_the_same_clips_in_other_roles_have_spectra_of_their_own(pools_of, spatial_table):
    data = spatial_table["data"]
    data["speakers"] = "drawn"
    for sources in ([*data["unlabeled"], *data["labeled"]], data["unlabeled"]):
        others = [*data["unlabeled"], *data["labeled"], *data["test"]][len(sources) :]
        pools = pools_of(spatial_table | {"data": data | {"unlabeled": sources, "labeled": others, "test": []}})
        assert len(pools.mel) == len(pools.unlabeled) == 36 + 24 * (len(sources) - 1)


def test_a_clip_has_one_role(pools_of, spatial_table):
    del spatial_table["data"]["unlabeled"][0]["split"]
    with pytest.raises(InputError, match=r"data\.\w+ and in data\.\w+"):
        pools_of(spatial_table)


def test_more_clips_than_there_are_cannot_be_drawn(pools_of, spatial_table):
    with pytest.raises(InputError, match=r"^sizes\.labeled: "):
        draw_sample(pools_of(spatial_table), Sizes(unlabeled=0, labeled=25), np.random.default_rng(0))


def test_one_word_is_no_task(pools_of, spatial_table):
    for role in ("labeled", "test"):
        spatial_table["data"][role][0]["labels"] = ["bow"]
    with pytest.raises(InputError, match=r"^data\.labeled: "):
        pools_of(spatial_table)


def test_positions_lie_between_the_mean_and_right_angles(pools_of, spatial_table):
    mel = pools_of(spatial_table).mel
    places = positions(mel, choose_anchors(mel, 1, np.random.default_rng(0)))
    assert ((places > 0) & (places < 1)).all()
