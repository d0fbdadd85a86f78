"""Tests of every loss."""

import copy
from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from earmark.core.errors import InputError
from earmark.training.nn.losses import AnyLossSettings
from earmark.training.nn.losses.a_softmax import ASoftmaxSettings
from earmark.training.nn.losses.aam_softmax import AAMSoftmaxSettings
from earmark.training.nn.losses.am_softmax import AMSoftmaxSettings
from earmark.training.nn.losses.angular_prototypical import AngularPrototypicalSettings
from earmark.training.nn.losses.ap_fc import APFCSettings
from earmark.training.nn.losses.ge2e import GE2ESettings
from earmark.training.nn.losses.settings import LossSettings
from earmark.training.nn.losses.softmax import SoftmaxSettings
from earmark.training.nn.losses.softmax_angular_prototypical import SoftmaxAngularPrototypicalSettings
from earmark.training.nn.losses.triplet import TripletSettings

# Every loss of the union with its defaults, and variants.
KINDS: list[type[LossSettings]] = [*get_args(get_args(AnyLossSettings)[0])]
EVERY: dict[str, LossSettings] = {
    settings.model_fields["kind"].default: settings.model_validate({}) for settings in KINDS
} | {
    "softmax without head": SoftmaxSettings(head=False),
    "am_softmax, learned scale": AMSoftmaxSettings(learned_scale=True),
    # λ is the same in every step, so that a loss computed twice does not differ.
    "a_softmax": ASoftmaxSettings(base=5),
    "a_softmax, full margin": ASoftmaxSettings(base=0, lambda_min=0),
    "aam_softmax, easy": AAMSoftmaxSettings(easy_margin=True),
    "triplet, hard": TripletSettings(mining="hard"),
    "triplet, semi-hard": TripletSettings(mining="semi-hard", margin=3),
    "triplet, unit": TripletSettings(unit=True, squared=True, margin=0.2),
    "angular_prototypical, each": AngularPrototypicalSettings(queries="each"),
    "ge2e, contrast": GE2ESettings(variant="contrast"),
    "ap_fc per sample": APFCSettings(per="sample"),
}
# Kinds of losses that detach a factor. Their gradient is not that of their value, and their own tests check it.
DETACHED: set[str] = set()
CLASSES = DIMENSION = 9
every_loss = pytest.mark.parametrize("settings", EVERY.values(), ids=EVERY.keys())


TAKING = {name: settings for name, settings in EVERY.items() if settings.takes_background}
losses_with_background = pytest.mark.parametrize("settings", TAKING.values(), ids=TAKING.keys())


def built(settings):
    return settings.build(classes=CLASSES, dimension=DIMENSION)


@pytest.fixture
def embeddings():
    return torch.randn(5, 2, DIMENSION, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def background():
    return torch.randn(4, DIMENSION, generator=torch.Generator().manual_seed(1))


def batch(settings, embeddings, labels, background):
    return embeddings, labels, background if settings.takes_background else None


@every_loss
def test_the_order_of_classes_and_of_background_does_not_matter(settings, embeddings, labels, background):
    objective = built(settings)
    loss = objective(*batch(settings, embeddings, labels, background))
    order = torch.tensor([3, 0, 4, 1, 2])
    again = objective(*batch(settings, embeddings[order], labels[order], background.flip(0)))
    torch.testing.assert_close(again, loss)


@every_loss
def test_gradients_are_those_of_finite_differences(settings, embeddings, labels, background):
    if settings.kind in DETACHED:
        pytest.skip("its own test checks the gradient")
    objective = built(settings).double()
    background = background.double().requires_grad_() if settings.takes_background else None

    def loss(words, others):
        return objective(words, labels, others)

    assert torch.autograd.gradcheck(loss, (embeddings.double().requires_grad_(), background))


@every_loss
@pytest.mark.parametrize("case", ["all equal", "one zero", "all zero", "one class", "opposite", "long", "short"])
def test_gradients_are_finite_for_extreme_embeddings(settings, embeddings, labels, background, case):
    match case:
        case "all equal":
            embeddings, background = torch.ones_like(embeddings), torch.ones_like(background)
        case "one zero":
            embeddings[2, 1], background[0] = 0, 0
        case "all zero":
            embeddings, background = torch.zeros_like(embeddings), torch.zeros_like(background)
        case "one class":
            embeddings, labels, background = embeddings[:1], labels[:1], background[:0]
        case "opposite":
            embeddings[:, 1] = -embeddings[:, 0]
        case "long":
            embeddings, background = embeddings * 1e6, background * 1e6
        case "short":
            embeddings, background = embeddings * 1e-6, background * 1e-6
    objective = built(settings)
    embeddings.requires_grad_()
    background.requires_grad_()
    loss = objective(*batch(settings, embeddings, labels, background))
    assert torch.isfinite(loss)
    loss.backward()
    gradients = [tensor.grad for tensor in (embeddings, background, *objective.parameters()) if tensor.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@every_loss
def test_autocast_does_not_change_the_loss_of_given_embeddings(settings, embeddings, labels, background):
    objective = built(settings)
    given = batch(settings, embeddings.bfloat16(), labels, background.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = objective(*given)
    assert loss.dtype == torch.float32
    exact = objective(*batch(settings, embeddings.bfloat16().float(), labels, background.bfloat16().float()))
    assert torch.equal(loss, exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_loss_and_gradients(embeddings, labels, background):
    for settings in EVERY.values():
        found = []
        objective = built(settings)
        for device in ("cpu", "cuda"):
            module, words = copy.deepcopy(objective).to(device), embeddings.to(device).requires_grad_()
            others = background.to(device) if settings.takes_background else None
            # Labels come from NumPy and can stay on the CPU.
            loss = module(words, labels, others)
            loss.backward()
            found.append([loss.detach().cpu(), words.grad.cpu(), *(each.grad.cpu() for each in module.parameters())])
        torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


@every_loss
def test_training_brings_embeddings_of_a_class_together_and_classes_apart(settings, embeddings, labels):
    objective = built(settings)
    embeddings = (embeddings + 1).requires_grad_()
    optimizer = torch.optim.Adam([embeddings, *objective.parameters()], lr=0.1)
    first = objective(embeddings, labels).item()
    for _ in range(60):
        optimizer.zero_grad()
        objective(embeddings, labels).backward()
        optimizer.step()
    assert objective(embeddings, labels).item() < 0.5 * first
    if settings.has_classes:
        logits = objective.logits(embeddings.flatten(0, 1))[:, labels]
        assert torch.equal(logits.argmax(1), torch.arange(5).repeat_interleave(2))
    if settings.least_utterances == 2:
        distances = torch.cdist(embeddings.flatten(0, 1), embeddings.flatten(0, 1)).fill_diagonal_(torch.inf)
        assert torch.equal(distances.argmin(1), torch.arange(10) ^ 1)


@pytest.mark.parametrize(
    "settings",
    [
        AngularPrototypicalSettings(),
        GE2ESettings(),
        GE2ESettings(variant="contrast"),
        SoftmaxAngularPrototypicalSettings(),
        APFCSettings(),
        APFCSettings(per="sample"),
    ],
    ids=str,
)
def test_learned_scales_stay_positive_in_large_steps(settings, embeddings, labels, background):
    objective = built(settings)
    (log_scale,) = (value for name, value in objective.named_parameters() if name.endswith("log_scale"))
    optimizer = torch.optim.SGD(objective.parameters(), lr=5.0)
    for _ in range(20):
        optimizer.zero_grad()
        objective(embeddings, labels, background).backward()
        optimizer.step()
        assert log_scale.exp() > 0
        assert torch.isfinite(objective(embeddings, labels, background))
    assert log_scale.exp().item() != pytest.approx(10.0)


@every_loss
def test_only_a_loss_with_classes_has_logits(settings, embeddings):
    objective = built(settings)
    assert hasattr(objective, "logits") == settings.has_classes
    if settings.has_classes:
        logits = objective.logits(embeddings.flatten(0, 1).bfloat16())
        assert logits.shape == (10, CLASSES)
        assert logits.dtype == torch.float32


@every_loss
def test_wrong_batches_are_refused(settings, embeddings, labels, background):
    objective = built(settings)
    wrong: list[tuple[torch.Tensor, ...]] = [
        (embeddings[:, 0], labels),
        (embeddings, labels[:3]),
        (embeddings, labels.float()),
    ]
    if settings.least_utterances > 1:
        wrong.append((embeddings[:, :1], labels))
    if settings.has_classes:
        wrong += [(embeddings, labels + 1), (embeddings, labels - 1), (embeddings[..., :5], labels)]
    wrong.append((embeddings, labels, background[:, :5] if settings.takes_background else background))
    for given in wrong:
        with pytest.raises(InputError):
            objective(*given)


@every_loss
def test_settings_are_closed_frozen_and_described(settings):
    with pytest.raises(ValidationError):
        type(settings)(scal=1)
    with pytest.raises(ValidationError):
        settings.kind = "other"
    assert all(field.description for field in type(settings).model_fields.values())
    for name, field in type(settings).model_fields.items():
        if field.annotation is float:
            with pytest.raises(ValidationError):
                type(settings)(**{name: float("nan")})


@losses_with_background
def test_background_of_no_clips_changes_nothing(settings, embeddings, labels):
    objective = built(settings)
    assert torch.equal(objective(embeddings, labels, torch.zeros(0, DIMENSION)), objective(embeddings, labels))


@losses_with_background
def test_background_moves_away_from_the_most_similar_word(settings, labels):
    objective = built(settings)
    axes = 3 * torch.eye(DIMENSION)
    if settings.kind == "ap_fc":
        objective.weight.data = axes
    noise = torch.randn(5, 2, DIMENSION, generator=torch.Generator().manual_seed(2))
    words = axes[labels][:, None] + 0.1 * noise
    # Similar to the first word, and less similar to an axis of no word.
    background = (axes[labels[:1]] + 0.4 * axes[1]).requires_grad_()
    objective(words, labels, background).backward()
    assert background.grad.any()
    moved = background - 1e-3 * background.grad / background.grad.norm()
    similar, similar_then = (torch.cosine_similarity(words[0], one) for one in (background, moved))
    assert (similar_then < similar).all()
