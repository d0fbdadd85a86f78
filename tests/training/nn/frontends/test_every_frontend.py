"""Tests of every frontend of a clip encoder."""

from typing import get_args

import pytest
import torch

from earmark.training.nn.frontends import FrontendSettings

KINDS = get_args(get_args(FrontendSettings)[0])
every_frontend = pytest.mark.parametrize(
    "frontend", [kind().build() for kind in KINDS], ids=lambda each: type(each).__name__
)


@every_frontend
def test_autocast_does_not_change_the_features(frontend):
    waves = 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames = frontend(waves)
    assert frames.dtype == torch.float32
    assert torch.equal(frames, frontend(waves))


@every_frontend
def test_a_checkpoint_contains_no_tensor_of_a_frontend(frontend):
    assert not frontend.state_dict()
