import numpy as np
import pytest
import torch
from pydantic import ValidationError

from earmark.core.errors import InputError
from earmark.training.batches.center_crop import SILENCE, CenterCrops, CenterCropSettings

CPU = torch.device("cpu")
LENGTHS = (9, 16, 23, 100, 1, 16)


@pytest.fixture
def bank(bank_of):
    """Clips of consecutive numbers, so that no two samples are equal."""
    samples = np.arange(1, sum(LENGTHS) + 1) * 100 / 32767
    return bank_of(np.split(samples, np.cumsum(LENGTHS)[:-1]), silence_s=0)


def clips(bank, noise=(), **settings):
    return CenterCrops(bank, CenterCropSettings(length_s=16 / 16_000, **settings), CPU, list(noise))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def slow(wave, size, shift=0):
    """Reference: center and shift a wave, one sample at a time."""
    placed = np.zeros(size, np.float32)
    for sample in range(size):
        source = sample - shift - (size - len(wave)) // 2 if len(wave) < size else sample - shift
        cut = max(0, len(wave) - size) // 2
        if 0 <= sample - shift < size and 0 <= source < min(size, len(wave)):
            placed[sample] = wave[cut + source]
    return placed


def test_short_clips_are_padded_and_long_clips_are_cut_on_both_sides(bank):
    ours = clips(bank)
    waves = ours.draw(ours.plan(torch.arange(6), seeded()))
    assert waves.dtype == torch.float32
    for clip, wave in enumerate(waves.numpy()):
        np.testing.assert_array_equal(wave, slow(bank.wave(clip), 16))


def test_a_shifted_clip_is_padded_with_silence(bank):
    ours = clips(bank, shift_s=4 / 16_000, shift_probability=1)
    numbers = torch.arange(6).repeat(40)
    waves = ours.draw(ours.plan(numbers, seeded())).numpy()
    seen = set()
    for clip, wave in zip(numbers.tolist(), waves, strict=True):
        shifts = [s for s in range(-4, 5) if np.array_equal(wave, slow(bank.wave(clip), 16, s))]
        assert shifts
        seen.add(shifts[0])
    assert seen == set(range(-4, 5))


def test_clips_are_shifted_with_the_given_probability(bank):
    ours = clips(bank, shift_s=8 / 16_000, shift_probability=0.2)
    waves = ours.draw(ours.plan(torch.full((2000,), 1), seeded()))
    moved = (waves != torch.from_numpy(bank.wave(1))).any(1).float().mean()
    assert moved == pytest.approx(0.2 * 16 / 17, abs=0.03)  # one of 17 shifts is 0


def test_silence_is_digital_unless_it_has_a_gain(bank):
    ours = clips(bank, shift_s=4 / 16_000, shift_probability=0.5)
    waves = ours.draw(ours.plan(torch.tensor([3, SILENCE, 3, SILENCE]), seeded()))
    assert not waves[1::2].any()
    assert waves[::2].any(1).all()


def test_silence_with_a_gain_is_a_crop_of_noise_at_that_gain(bank):
    noise = [torch.arange(1, 41) / 50, -torch.arange(1, 31) / 50]
    ours = clips(bank, noise, silence_gain=(0.05, 0.1))
    waves = ours.draw(ours.plan(torch.full((400,), SILENCE), seeded()))
    step = waves.diff(dim=1)
    gain = step.mean(1).abs() * 50
    torch.testing.assert_close(step, step.mean(1, keepdim=True).expand_as(step), atol=1e-6, rtol=0)
    assert 0.05 <= gain.min() < 0.055
    assert 0.095 < gain.max() <= 0.1
    first = (waves[:, 0] / gain * 50).round().int()
    assert set(first[first > 0].tolist()) == set(range(1, 26))
    assert set(first[first < 0].tolist()) == set(range(-15, 0))


def test_noise_that_is_shorter_than_the_clip_is_tiled(bank):
    ours = clips(bank, [torch.arange(1, 6) / 5], silence_gain=(1, 1))
    waves = (ours.draw(ours.plan(torch.full((100,), SILENCE), seeded())) * 5).round().int()
    for wave in waves.tolist():
        assert wave == [(wave[0] - 1 + i) % 5 + 1 for i in range(16)]
    assert set(waves[:, 0].tolist()) == {1, 2, 3, 4, 5}


def test_silence_with_a_gain_needs_noise(bank):
    with pytest.raises(InputError, match=r"^data\.noise: .* scenes\.silence_gain"):
        clips(bank, silence_gain=(0, 0.1))


@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 20), slice(49, 50), slice(0, 50), slice(None, 10), slice(7, 7)])
def test_some_rows_of_a_plan_have_the_bits_of_the_whole_plan(bank, rows):
    noise = [torch.rand(100, generator=seeded(3))]
    ours = clips(bank, noise, shift_s=4 / 16_000, shift_probability=0.5, silence_gain=(0, 0.1))
    plan = ours.plan(torch.randint(-1, 6, (50,), generator=seeded(1)), seeded(2))
    assert torch.equal(ours.draw(plan, rows), ours.draw(plan)[rows])


def test_one_seed_gives_one_plan(bank):
    ours = clips(bank, [torch.ones(100)], shift_s=4 / 16_000, shift_probability=1, silence_gain=(0, 0.1))
    one, same, other = (ours.draw(ours.plan(torch.tensor([0, 1, -1]), seeded(seed))) for seed in (4, 4, 5))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_gathering_equals_copying(bank):
    noise = [torch.rand(100, generator=seeded(3)), torch.rand(7, generator=seeded(4))]
    ours = clips(bank, noise, shift_s=9 / 16_000, shift_probability=0.8, silence_gain=(0.1, 0.1))
    plan = ours.plan(torch.randint(-1, 6, (200,), generator=seeded(1)), seeded(2))
    assert torch.equal(ours.gather(plan.begin, plan.at, plan.count), ours.copy(plan.begin, plan.at, plan.count))
    assert torch.equal(ours.noise.gather(plan.crops, 16), ours.noise.copy(plan.crops, 16))


@pytest.mark.parametrize(
    "wrong",
    [
        {"silence_gain": (0.2, 0.1)},
        {"silence_gain": (-0.1, 0.1)},
        {"shift_s": 1.5},
        {"shift_probability": 2},
        {"lenght_s": 1},
        {"length_s": 0},
    ],
)
def test_settings_that_make_no_clip_are_refused(wrong):
    with pytest.raises(ValidationError):
        CenterCropSettings(**wrong)
