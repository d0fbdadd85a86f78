import math

import pytest
import torch

from earmark.training.nn.losses.ap_fc import APFC, APFCSettings


def built(**settings):
    return APFC(APFCSettings(**settings), classes=9, dimension=7)


def plain(samples, labels, background, weight, *, per, scale=10.0, bias=-5.0):
    """Both readings of the equation, one target after another, with one sample of each target."""

    def score(sample, target):
        vector = weight[target].tolist()
        dot = sum(x * w for x, w in zip(sample, vector, strict=True))
        return scale * dot / math.hypot(*sample) / math.hypot(*vector) + bias

    samples, background, labels = samples.tolist(), background.tolist(), labels.tolist()
    total = 0.0
    for own, target in zip(samples, labels, strict=True):
        if per == "target":
            rivals = [score(sample, target) for sample in samples]
        else:
            rivals = [score(own, k) for k in range(len(weight))]
        rivals += [score(sound, target) for sound in background]
        total += math.log(sum(math.exp(rival) for rival in rivals)) - score(own, target)
    return total / len(samples)


readings = pytest.mark.parametrize("per", ["target", "sample"])


@readings
@pytest.mark.parametrize("sounds", [0, 3])
def test_the_loss_is_that_of_a_plain_loop_over_the_equation(embeddings, labels, background, per, sounds):
    for constants in ({}, {"scale": 3.0, "bias": 1.0}):
        objective = built(per=per, **constants)
        expected = plain(embeddings[:, 0], labels, background[:sounds], objective.weight, per=per, **constants)
        found = objective(embeddings[:, :1], labels, background[:sounds])
        assert found.item() == pytest.approx(expected, rel=1e-5)


def test_samples_of_one_target_are_not_negatives_of_each_other(embeddings, labels, background):
    objective = built()
    several = objective(embeddings, labels, background)
    # The same as one row for each utterance, with repeated labels.
    rows = objective(embeddings.flatten(0, 1)[:, None], labels.repeat_interleave(4), background)
    torch.testing.assert_close(rows, several)
    total = torch.tensor(0.0)
    for j in range(5):
        for i in range(4):
            keep = torch.tensor([[k != j or own == i for own in range(4)] for k in range(5)])
            vector = torch.nn.functional.normalize(objective.weight[labels[j]], dim=0)
            columns = torch.cat([embeddings[j, i][None], embeddings[keep], background])
            scores = 10 * torch.nn.functional.normalize(columns) @ vector - 5
            total += scores[1:].logsumexp(0) - scores[0]
    torch.testing.assert_close(several, total / 20)


@readings
def test_non_targets_move_away_from_the_targets_and_not_to_each_other(embeddings, labels, background, per):
    objective = built(per=per)
    without = objective(embeddings[:, :1], labels)
    background.requires_grad_()
    loss = objective(embeddings[:, :1], labels, background)
    assert loss > without
    loss.backward()
    vectors = torch.nn.functional.normalize(objective.weight[labels].detach())
    for before, after in zip(background, background - 1e-3 * background.grad, strict=True):
        similar = [10 * (vectors @ one / one.norm()) for one in (before, after)]
        assert similar[1].logsumexp(0) < similar[0].logsumexp(0)
    alone = background.detach()[:1].requires_grad_()
    twins = background.detach()[[0, 0]].requires_grad_()
    for sounds in (alone, twins):
        objective(embeddings[:, :1], labels, sounds).backward()
    direction = torch.nn.functional.normalize(torch.cat([alone.grad, twins.grad]))
    torch.testing.assert_close(direction[1], direction[2])
    assert direction[0] @ direction[1] > 0.9


def test_only_targets_in_the_batch_move_per_target_and_all_per_sample(embeddings, labels, background):
    moved = {}
    for per in ("target", "sample"):
        objective = built(per=per)
        objective(embeddings[:, :1], labels, background).backward()
        moved[per] = sorted(objective.weight.grad.abs().sum(1).nonzero().flatten().tolist())
    assert moved == {"target": sorted(labels.tolist()), "sample": list(range(9))}


def test_the_logits_are_the_scores_of_the_equation(embeddings):
    objective = built(scale=4.0, bias=1.0)
    cosine = torch.nn.functional.cosine_similarity(embeddings[0][:, None], objective.weight[None], dim=-1)
    torch.testing.assert_close(objective.logits(embeddings[0]), 4 * cosine + 1)


def test_lengths_do_not_matter(embeddings, labels, background):
    objective = built()
    longer = embeddings[:, :1] * torch.linspace(0.1, 10, 5)[:, None, None]
    torch.testing.assert_close(
        objective(longer, labels, background * 7), objective(embeddings[:, :1], labels, background)
    )
