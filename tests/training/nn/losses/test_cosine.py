import math

import pytest
import torch

from earmark.training.nn.losses.cosine import cosine, unit


def test_cosines_are_those_of_a_plain_loop(embeddings):
    queries, references = embeddings[:2], embeddings[2:4]
    found = cosine(queries, references)
    assert found.shape == (2, 4, 4)
    for group in range(2):
        for i, one in enumerate(queries[group].tolist()):
            for j, other in enumerate(references[group].tolist()):
                dot = sum(a * b for a, b in zip(one, other, strict=True))
                assert found[group, i, j].item() == pytest.approx(dot / math.hypot(*one) / math.hypot(*other), abs=1e-6)


@pytest.mark.parametrize("size", [1e-10, 1e-3, 1.0, 1e10])
def test_unit_vectors_have_length_1_for_any_input_length(embeddings, size):
    torch.testing.assert_close(unit(embeddings * size).norm(dim=-1), torch.ones(5, 4))


def test_a_zero_vector_has_cosine_0_and_no_gradient():
    vectors = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    found = cosine(vectors, vectors)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    (found * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert vectors.grad is not None
    assert torch.equal(vectors.grad[0], torch.zeros(2))
    assert torch.isfinite(vectors.grad).all()


def test_autocast_does_not_change_cosines(embeddings):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (embeddings[0] @ embeddings[1].T).dtype == torch.bfloat16
        found = cosine(embeddings[0], embeddings[1])
    assert torch.equal(found, cosine(embeddings[0], embeddings[1]))
