import pytest
import torch

from earmark.training.batches.augment.noise import Noise, NoiseSettings, colored_noise, spoken_power

SPOKEN = torch.tensor([[8000, 16_000], [4000, 20_000], [100, 9000]])


@pytest.fixture
def waves():
    """Words of three levels, each between silence."""
    generator = torch.Generator().manual_seed(0)
    waves = torch.zeros(3, 24_000)
    for row, (first, last) in enumerate(SPOKEN.tolist()):
        waves[row, first:last] = 10.0**-row * torch.randn(last - first, generator=generator)
    return waves


def mix(waves, recordings, seed=1, **settings):
    noise = Noise(NoiseSettings(**settings), recordings, torch.device("cpu"))
    return noise(waves, SPOKEN, torch.Generator().manual_seed(seed))


RECORDINGS = [torch.sin(torch.arange(90_000) * 0.3) * torch.linspace(0.01, 1, 90_000), torch.ones(50_000)]


@pytest.mark.parametrize("recordings", [[], RECORDINGS], ids=["made", "recorded"])
@pytest.mark.parametrize("snr_db", [-3.0, 7.0, 25.0])
def test_the_measured_ratio_is_the_given_snr(waves, recordings, snr_db):
    augmented = mix(waves, recordings, probability=1.0, snr_db=(snr_db, snr_db), colored=0.0)
    for row, (first, last) in enumerate(SPOKEN.tolist()):
        noise_power = (augmented - waves)[row].square().mean()
        measured = 10 * torch.log10(waves[row, first:last].square().mean() / noise_power).item()
        assert measured == pytest.approx(snr_db, abs=0.2)


def test_ratios_are_in_the_range(waves):
    augmented = mix(waves.repeat(30, 1)[:3], [], probability=1.0, snr_db=(5.0, 10.0))
    measured = 10 * torch.log10(spoken_power(waves, SPOKEN) / (augmented - waves).square().mean(1))
    assert ((measured > 4.8) & (measured < 10.2)).all()


def test_at_probability_zero_nothing_is_added(waves):
    assert torch.equal(mix(waves, RECORDINGS, probability=0.0), waves)


def test_silence_gets_no_noise_and_stays_finite():
    augmented = mix(torch.zeros(3, 24_000), RECORDINGS, probability=1.0)
    assert torch.equal(augmented, torch.zeros_like(augmented))


def test_recordings_shorter_than_a_scene_are_replaced_by_synthetic_noise(waves):
    assert torch.isfinite(mix(waves, [torch.zeros(10)], probability=1.0)).all()


def test_synthetic_noise_falls_by_at_most_6_db_per_octave():
    noise = colored_noise(40, 16_000, torch.Generator().manual_seed(2))
    power = torch.fft.rfft(noise).abs().square()
    octaves = [power[:, low : 2 * low].mean(1).log10() * 10 for low in (500, 1000, 2000, 4000)]
    slope = (octaves[-1] - octaves[0]) / 3
    assert (slope < 0.5).all()
    assert (slope > -6.6).all()
    assert slope.std() > 1
