from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from earmark.models.encoder import Encoder
from earmark.training.nn.encoders import StreamSettings
from earmark.training.nn.pooling import jittered_windows, random_windows, sum_windows


def encoder(parts=1, context=3):
    return StreamSettings(widths=(2, 2, 2, 2, 2), hidden=4, dimension=12, parts=parts, context=context).build()


def instant(frame, model):
    """Sample at the center of a frame of a whole wave."""
    return (frame + model.settings.context // 2) * model.hop + model.reach // 2


FRAMES = torch.randn(5, 40, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("context", [1, 3, 5])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_sum_is_that_of_a_plain_loop(parts, context):
    model = encoder(parts, context)
    generator = torch.Generator().manual_seed(1)
    begin = torch.randint(2000, 18_000, (5, 1), generator=generator)
    windows = torch.cat([begin, begin + torch.randint(700, 12_000, (5, 1), generator=generator)], dim=1)
    expected = torch.zeros(5, 12)
    width = 12 // parts
    for row, (first, last) in enumerate(windows.tolist()):
        for frame in range(40):
            for part in range(parts):
                edges = [first + (last - first) * number / parts for number in (part, part + 1)]
                if edges[0] <= instant(frame, model) < edges[1]:
                    columns = slice(part * width, (part + 1) * width)
                    expected[row, columns] += FRAMES[row, frame, columns]
    assert torch.allclose(sum_windows(FRAMES, windows, model), expected, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize(("start", "length"), [(0, 6), (7, 12), (22, 18), (3, 30)])
def test_training_and_runtime_embed_the_same_window_equally(parts, start, length):
    model = encoder(parts)
    edges = [instant(start, model) - model.hop // 2, instant(start + length, model) - model.hop // 2]
    summed = sum_windows(FRAMES[:1], torch.tensor([edges]), model)
    shipped: Any = SimpleNamespace(parts=parts)
    runtime = Encoder.embed_windows(shipped, FRAMES[0].numpy(), [start + length], length)
    assert np.allclose(torch.nn.functional.normalize(summed, dim=1).numpy(), runtime, atol=1e-5)


def test_the_shortest_window_contains_a_frame():
    model = encoder()
    for first in range(9000, 9000 + 640, 40):
        assert sum_windows(FRAMES[:1], torch.tensor([[first, first + 1]]), model).abs().sum() > 0


def test_jitter_moves_the_ends_outward_and_slightly_inward():
    spoken = torch.tensor([[8000, 16_000]] * 500)
    off = (jittered_windows(spoken, torch.Generator().manual_seed(0), least_s=-0.04, most_s=0.2) - spoken) / 16_000
    assert off[:, 0].min() >= -0.2
    assert off[:, 0].max() <= 0.04
    assert off[:, 1].min() >= -0.04
    assert off[:, 1].max() <= 0.2
    assert off[:, 0].std() > 0.05


def test_random_windows_are_inside_the_spoken_parts_and_long_enough():
    spoken = torch.tensor([[1000, 20_000], [4000, 9000], [500, 2500]]).repeat(200, 1)
    windows = random_windows(spoken, torch.Generator().manual_seed(0))
    assert bool((windows[:, 0] >= spoken[:, 0] - 1).all())
    assert bool((windows[:, 1] <= spoken[:, 1] + 1).all())
    length = windows[:, 1] - windows[:, 0]
    # 0.3 s, or the whole of a shorter part.
    assert int(length[0::3].min()) >= 4799
    assert int(length[2::3].min()) >= 1999
    assert int(length[0::3].max()) > 15_000
