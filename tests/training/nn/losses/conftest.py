import pytest
import torch


@pytest.fixture(autouse=True)
def _class_weights_are_the_same_each_time():
    torch.manual_seed(0)


@pytest.fixture
def embeddings():
    """Five classes of four utterances."""
    return torch.randn(5, 4, 7, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def labels():
    """Class numbers of these five classes, of nine classes."""
    return torch.tensor([7, 0, 3, 8, 2])


@pytest.fixture
def background():
    return torch.randn(3, 7, generator=torch.Generator().manual_seed(1))
