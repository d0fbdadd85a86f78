import numpy as np
import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from earmark.core.errors import InputError
from earmark.evaluation.protocols.retrieval import by_label, compute_metrics, cosine_similarities, precisions


def tokens(count=60, labels=8, speakers=5, dimension=6, seed=0):
    """Embeddings around one direction per label, their labels, of very different frequency, and their speakers."""
    rng = np.random.default_rng(seed)
    codes = np.minimum(rng.geometric(0.35, count) - 1, labels - 1)
    rows = rng.normal(size=(labels, dimension))[codes] + 0.9 * rng.normal(size=(count, dimension))
    names = [f"w{code}" for code in codes]
    return (
        (rows * rng.uniform(0.1, 9, (count, 1))).astype(np.float32),
        names,
        [f"s{i}" for i in rng.integers(speakers, size=count)],
    )


def plain(rows, labels, speakers, ranking):
    """AP and AP@R of each query, computed by sorting lists."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit @ unit.T

    def candidates(query):
        for other in range(len(rows)):
            is_own = speakers[other] == speakers[query]
            if ranking == "published" or (
                other != query and {"all": True, "across": not is_own, "within": is_own}[ranking]
            ):
                yield other

    ranked = {q: sorted(candidates(q), key=(-scores[q]).__getitem__) for q in range(len(rows))}
    hits = {q: [labels[other] == labels[q] for other in ranked[q]] for q in ranked}
    depth = max(sum(some) for some in hits.values())
    found = []
    for some in hits.values():
        total = sum(some)
        terms = [hit * sum(some[: k + 1]) / (k + 1) for k, hit in enumerate(some)]
        found.append((sum(terms[:depth]) / total, sum(terms[:total]) / total) if total else (np.nan, np.nan))
    return np.array(found).T


@pytest.mark.parametrize("block", [60, 700, 2**24])
@pytest.mark.parametrize("ranking", ["all", "across", "within", "published"])
def test_precisions_are_those_of_plain_loops_with_blocks_of_any_size(block, ranking):
    rows, labels, speakers = tokens()
    found = precisions(cosine_similarities(rows), labels, speakers, published=True, block=block)[ranking]
    ap, at_r = plain(rows, labels, speakers, ranking)
    np.testing.assert_allclose(found.ap, ap, atol=1e-9)
    np.testing.assert_allclose(found.ap_at_r, at_r, atol=1e-9)


def by_library(rows, labels, *, includes_query):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    codes = np.unique(labels, return_inverse=True)[1]
    names = ("mean_average_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=names, k="max_bin_count", knn_func=nearest, device=torch.device("cpu"))
    reference = {} if not includes_query else {"reference": unit, "reference_labels": codes}
    found = calculator.get_accuracy(unit, codes, **reference)
    return [found[name] for name in names]


def nearest(query, k, reference, ref_includes_query):
    """The nearest neighbors of each query, as FAISS finds them; the query itself is left out."""
    scores = query @ reference.T
    first = int(ref_includes_query)
    values, places = scores.topk(k + first, dim=1)
    return values[:, first:], places[:, first:]


@pytest.mark.parametrize("seed", range(3))
def test_map_is_that_of_pytorch_metric_learning(seed):
    rows, labels, speakers = tokens(300, seed=seed)
    numbers = compute_metrics(precisions(cosine_similarities(rows), labels, speakers, published=True), speakers)
    for ranking, includes_query in (("all", False), ("published", True)):
        ours = [estimate.value for estimate in numbers[ranking].values()]
        np.testing.assert_allclose(ours, by_library(rows, labels, includes_query=includes_query), atol=1e-6)


def test_the_published_ranking_favors_rare_labels():
    rng = np.random.default_rng(0)
    labels = [f"w{index // 2}" for index in range(100)]
    numbers = compute_metrics(
        precisions(cosine_similarities(rng.normal(size=(100, 16))), labels, [""] * 100, published=True), [""] * 100
    )
    assert numbers["all"]["map"].value < 0.1
    assert numbers["published"]["map"].value >= 0.5


def test_perfect_embeddings_have_a_map_of_one_in_every_ranking():
    labels, speakers = ["a", "a", "b", "b"] * 3, ["x"] * 4 + ["y"] * 8
    rows = np.eye(2)[[int(label == "a") for label in labels]] + 1e-3 * np.arange(12)[:, None]
    for numbers in compute_metrics(precisions(cosine_similarities(rows), labels, speakers), speakers).values():
        assert [estimate.value for estimate in numbers.values()] == [1.0, 1.0]


def test_equal_similarities_are_ranked_the_wrong_ones_first():
    found = precisions(cosine_similarities(np.ones((6, 3))), ["a", "a", "a", "b", "b", "c"], [""] * 6)["all"]
    # Of five other segments, the two right answers have ranks 4 and 5, and only two ranks count.
    assert found.depth == 2
    assert np.nan_to_num(found.ap).tolist() == [0.0] * 6


def test_a_common_voice_does_not_help_across_speakers():
    """All words of a speaker have similar embeddings: MAP is low within speakers and high across speakers."""
    labels, speakers = ["a", "b", "a", "b"], ["x", "x", "y", "y"]
    rows = np.array([[1, 0, 0.3], [1, 0, -0.3], [0, 1, 0.3], [0, 1, -0.3]])
    numbers = compute_metrics(precisions(cosine_similarities(rows), labels, speakers), speakers)
    assert numbers["across"]["map"].value == 1
    assert numbers["all"]["map"].value == 0
    assert np.isnan(numbers["within"]["map"].value)


def test_an_unknown_speaker_is_a_speaker_of_its_own():
    rows, labels, _ = tokens()
    found = precisions(cosine_similarities(rows), labels, [""] * len(labels))
    np.testing.assert_array_equal(found["all"].ap, found["across"].ap)
    assert np.isnan(found["within"].ap).all()


def test_queries_without_right_answers_do_not_count():
    rows, labels, speakers = tokens()
    lone = (np.concatenate([rows, [[9, 0, 0, 0, 0, 0]]]), [*labels, "lone"], [*speakers, "s0"])
    found = precisions(cosine_similarities(lone[0]), *lone[1:])
    assert np.isnan(found["all"].ap[-1])
    assert found["all"].right[-1] == 0
    assert np.isfinite(compute_metrics(found, lone[2])["all"]["map"].value)


def test_intervals_come_from_draws_of_speakers():
    rows, labels, speakers = tokens(200)
    found = precisions(cosine_similarities(rows), labels, speakers)
    one = compute_metrics(found, speakers, np.random.default_rng(0))["all"]["map"]
    assert one.low < one.value < one.high
    assert compute_metrics(found, ["x"] * 200, np.random.default_rng(0))["all"]["map"].low == pytest.approx(one.value)


def test_the_map_of_each_label_weighs_to_the_map_of_all():
    rows, labels, speakers = tokens()
    found = precisions(cosine_similarities(rows), labels, speakers)
    each = by_label(found["all"], labels)
    total = sum(tokens * value for tokens, value in each.values()) / sum(tokens for tokens, _ in each.values())
    assert total == pytest.approx(compute_metrics(found, speakers)["all"]["map"].value)


@pytest.mark.parametrize("wrong", [0.0, np.nan, np.inf])
def test_an_embedding_without_a_direction_is_an_error(wrong):
    rows, *_ = tokens()
    rows[3] = wrong
    with pytest.raises(InputError, match="embedding 4 of 60 is zero or not finite"):
        cosine_similarities(rows)


def test_segments_without_labels_or_right_answers_are_refused():
    similarities = cosine_similarities(np.eye(3))
    with pytest.raises(InputError, match="segment 2 of 3 has no label"):
        precisions(similarities, ["a", "", "b"], [""] * 3)
    with pytest.raises(InputError, match="labels: all 3"):
        precisions(similarities, ["a", "b", "c"], [""] * 3)
