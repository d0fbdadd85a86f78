import librosa
import numpy as np
import pytest
import soxr
import torch
from pydantic import ValidationError

from earmark.core.audio import SAMPLE_RATE
from earmark.training.batches.section_augment import SectionAugmentation, SectionAugmentSettings
from earmark.training.batches.section_augment.band_reject import without_band
from earmark.training.batches.section_augment.pitch import at_pitch, resample

EFFECTS = ("pitch", "reverb", "noise", "band_reject", "time_drop")
LENGTHS = torch.tensor([16_000, 9_001, 12_345, 4_000])


def effects(responses=(), **settings):
    """`effects(noise={"snr_db": (0, 0)})`: an augmentation with these effects, by default with probability 1."""
    always = {name: {"probability": 1.0} | mine for name, mine in settings.items()}
    return SectionAugmentation(SectionAugmentSettings.model_validate(always), torch.device("cpu"), responses)


def everything(probability=1.0):
    return effects(**{name: {"probability": probability} for name in EFFECTS})


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def waves():
    """Four rows of noise; the samples beyond `LENGTHS` are padding."""
    return 0.1 * torch.randn(4, 16_000, generator=drawn(9))


def test_no_effect_is_applied_by_default(waves):
    quiet = SectionAugmentation(SectionAugmentSettings(), torch.device("cpu"))
    assert not quiet.is_active
    generator = drawn()
    assert torch.equal(quiet(waves, LENGTHS, generator), waves)
    assert torch.equal(generator.get_state(), drawn().get_state())
    for name in EFFECTS:
        assert effects(**{name: {"probability": 0.01}}).is_active


def test_a_room_without_a_probability_is_not_active():
    assert not SectionAugmentSettings.model_validate({"reverb": {"made": 1.0}}).is_active


@pytest.mark.parametrize("wrong", [{"noise": {"probability": 1.1}}, {"noise": {"snr_db": (9, 3)}}, {"echo": {}}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        SectionAugmentSettings.model_validate(wrong)


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_depend_on_the_generator(waves, name):
    one = effects(**{name: {}})
    first = one(waves, LENGTHS, drawn(1))
    assert torch.equal(first, one(waves, LENGTHS, drawn(1)))
    assert not torch.equal(first, one(waves, LENGTHS, drawn(2)))
    assert not torch.equal(first, waves)


@pytest.mark.parametrize("name", EFFECTS)
def test_each_row_has_its_own_random_choices(name):
    equal_rows = 0.1 * torch.randn(1, 8000, generator=drawn(3)).expand(5, -1)
    made = effects(**{name: {}})(equal_rows, torch.full((5,), 8000), drawn())
    assert len(torch.unique(made, dim=0)) == 5


def test_neither_the_input_nor_samples_after_a_row_change(waves):
    before = waves.clone()
    made = everything()(waves, LENGTHS, drawn())
    assert torch.equal(waves, before)
    assert made.shape == waves.shape
    for row, length in enumerate(LENGTHS):
        assert torch.equal(made[row, length:], waves[row, length:])
        assert not torch.equal(made[row, :length], waves[row, :length])


def test_a_row_does_not_depend_on_its_padding_or_on_other_rows(waves):
    made = everything()(waves, LENGTHS, drawn())
    # The first row beside one row less, and the other rows with more and different padding.
    wider = torch.nn.functional.pad(waves, (0, 5000), value=0.3)
    for row, length in enumerate(LENGTHS):
        wider[row, length:] = 0.3
    again = everything()(wider, LENGTHS, drawn())
    fewer = everything()(waves[:2, :16_000], LENGTHS[:2], drawn())
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(again[row, :length], made[row, :length], atol=1e-5, rtol=0)
        if row < 2:
            torch.testing.assert_close(fewer[row, :length], made[row, :length], atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 100])
def test_the_shortest_waves_are_accepted(length):
    made = everything()(torch.ones(3, 200), torch.tensor([length, 0, length]), drawn())
    assert made.isfinite().all()
    assert torch.equal(made[1], torch.ones(200))


@pytest.mark.parametrize("name", EFFECTS)
def test_silence_stays_silence(name):
    assert not effects(**{name: {}})(torch.zeros(2, 4000), torch.tensor([4000, 3000]), drawn()).any()


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_applied_with_its_probability(name):
    waves = 0.1 * torch.randn(300, 400, generator=drawn(4))
    made = effects(**{name: {"probability": 0.3}})(waves, torch.full((300,), 400), drawn())
    assert (made != waves).any(1).float().mean().item() == pytest.approx(0.3, abs=0.08)


def test_noise_is_uniform_and_has_the_given_snr(waves):
    made = effects(noise={"snr_db": (12.0, 12.0)})(waves, LENGTHS, drawn())
    for wave, augmented, length in zip(waves.double(), made.double(), LENGTHS, strict=True):
        noise = (augmented - wave)[:length]
        assert 10 * torch.log10(wave[:length].square().mean() / noise.square().mean()).item() == pytest.approx(12)
        # Uniform numbers: the maximum is √3 times the RMS, and a quarter of them is in each quarter of the range.
        assert noise.abs().max() / noise.square().mean().sqrt() == pytest.approx(3**0.5, rel=0.02)
        assert np.histogram(noise, 4)[0] / int(length) == pytest.approx(0.25, abs=0.03)


def test_signal_to_noise_ratios_fill_their_range():
    waves = torch.randn(200, 400, generator=drawn(5))
    made = effects(noise={})(waves, torch.full((200,), 400), drawn())
    ratios_db = 10 * torch.log10(waves.square().sum(1) / (made - waves).square().sum(1))
    assert 20 <= ratios_db.min() < 20.5
    assert 28.5 < ratios_db.max() <= 29.001


@pytest.mark.parametrize(("low_hz", "high_hz"), [(200, 400), (1000, 1300), (3000, 4500)])
def test_a_band_is_rejected_and_others_are_kept(low_hz, high_hz):
    response_db = 20 * torch.log10(torch.fft.rfft(without_band(low_hz, high_hz), n=16_000).abs() + 1e-9)
    assert response_db[low_hz + 35 : high_hz - 34].max() < -58
    assert response_db[: low_hz - 34].abs().max() < 0.02
    assert response_db[high_hz + 35 :].abs().max() < 0.02


def test_a_rejected_band_is_at_most_as_wide_as_the_maximum():
    waves = torch.randn(40, 32_000, generator=drawn(6))
    made = effects(band_reject={"widest": 0.1})(waves, torch.full((40,), 32_000), drawn())
    power = [torch.fft.rfft(x).abs().square().view(40, -1)[:, :16_000].view(40, -1, 20).mean(2) for x in (waves, made)]
    gone = power[1] / power[0] < 0.01  # of 10 Hz each
    mel = 2595 * torch.log10(1 + (torch.arange(800) * 10 + 5) / 700)
    widths = []
    for row in gone:
        places = row.nonzero()[:, 0]
        if len(places):
            assert len(places) == places[-1] - places[0] + 1
            widths.append((mel[places[-1]] - mel[places[0]]).item() / 2840)
    assert len(widths) > 20
    assert 0.06 < max(widths) <= 0.1


def test_band_rejection_does_not_move_a_click():
    clicks = torch.zeros(6, 8000)
    clicks[torch.arange(6), 10 + 1500 * torch.arange(6)] = 1
    made = effects(band_reject={})(clicks, torch.full((6,), 8000), drawn())
    assert torch.equal(made.argmax(1), clicks.argmax(1))


def test_time_masks_are_silent_and_at_most_as_long_as_the_maximum():
    lengths = torch.arange(4000, 4100)
    waves = torch.ones(100, 4100)
    made = effects(time_drop={"longest_s": 0.05})(waves, lengths, drawn())
    sizes, starts = [], []
    for wave in made:
        lost = (wave == 0).nonzero()[:, 0]
        assert len(lost) == lost[-1] - lost[0] + 1
        sizes.append(len(lost))
        starts.append(lost[0].item())
    assert min(sizes) < 50
    assert 750 < max(sizes) <= 800
    assert min(starts) < 200
    assert max(starts) > 3300
    assert set(made.unique().tolist()) == {0, 1}


def test_a_wave_has_the_given_number_of_time_masks():
    made = effects(time_drop={"longest_s": 0.01, "count": 5})(
        torch.ones(30, 160_000), torch.full((30,), 160_000), drawn()
    )
    moments = (made.diff(dim=1) == -1).sum(1)
    assert moments.median() == 5
    assert moments.max() == 5


@pytest.mark.parametrize("made", [0.0, 1.0])
def test_a_room_keeps_the_time_of_the_direct_sound_and_the_energy(made):
    clicks = torch.zeros(6, 15_013)
    clicks[torch.arange(6), 100 + 1000 * torch.arange(6)] = 0.5
    measured = torch.zeros(9000)
    measured[700], measured[2500] = 1.0, -0.4
    augmented = effects([measured], reverb={"made": made, "direct_db": (6.0, 15.0)})(
        clicks, torch.full((6,), 15_013), drawn()
    )
    assert torch.equal(augmented.abs().argmax(1), clicks.argmax(1))
    assert (augmented[:, :90].abs() < 1e-5).all()
    assert torch.allclose(augmented.square().sum(1), clicks.square().sum(1), rtol=1e-3)
    late = augmented[:, 100 + 1700 : 100 + 1900].abs()
    assert not torch.equal(augmented, clicks)
    if not made:  # the measured echo, 1800 samples later
        assert late[0].argmax() == 100


@pytest.mark.parametrize("step", [0.84, 1.0, 1.19, 1.9])
def test_tones_are_resampled_as_by_soxr(step):
    size = 8000
    time = np.arange(round(size * step) + 1000)
    wave = np.sin(0.05 * time) + 0.5 * np.cos(0.9 * time) + 0.3 * np.sin(1.3 * time)
    made = resample(torch.tensor(wave, dtype=torch.float32)[None], torch.tensor([step], dtype=torch.float64), size)[0]
    theirs = soxr.resample(wave, step * 1000, 1000, quality="VHQ")[:size]
    inner = slice(500, -500)
    assert np.abs(made.numpy() - theirs)[inner].max() < 2e-3


def test_frequencies_above_the_new_limit_are_removed():
    tone = torch.sin(2 * torch.pi * 7500 / SAMPLE_RATE * torch.arange(20_000))
    made = resample(tone[None], torch.tensor([1.19], dtype=torch.float64), 16_000)
    assert made[0, 500:-500].square().mean() < 1e-4 * tone.square().mean()


def harmonic(pitch_hz, seconds=1.5):
    time_s = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return sum(torch.sin(2 * torch.pi * pitch_hz * k * time_s) / k for k in range(1, 9)) * 0.1


@pytest.mark.parametrize("pitch_hz", [110.0, 210.0])
@pytest.mark.parametrize("cents", [-300.0, -80.0, 150.0, 300.0])
def test_a_pitch_is_shifted_as_by_librosa(pitch_hz, cents):
    wave = harmonic(pitch_hz)
    made = at_pitch(wave[None], torch.tensor([len(wave)]), torch.tensor([cents]))[0].numpy()
    theirs = librosa.effects.pitch_shift(wave.numpy(), sr=SAMPLE_RATE, n_steps=cents / 100)
    assert made.shape == theirs.shape
    found = [
        np.median(librosa.yin(x, fmin=70, fmax=400, sr=SAMPLE_RATE, frame_length=1024)[5:-5]) for x in (made, theirs)
    ]
    assert abs(1200 * np.log2(found[0] / found[1])) < 20
    assert abs(1200 * np.log2(found[0] / pitch_hz) - cents) < 20
    assert np.square(made[1000:-1000]).mean() == pytest.approx(wave.square().mean().item(), rel=0.1)


@pytest.mark.parametrize("cents", [-300.0, -120.0, 120.0, 300.0])
def test_events_stay_within_ten_milliseconds_at_another_pitch(cents, bursts):
    sound, onsets = bursts(0.1, 3.8, 0.17)
    wave = torch.tensor(sound, dtype=torch.float32)
    made = at_pitch(wave[None], torch.tensor([len(wave)]), torch.tensor([cents]))[0].numpy()
    level = np.convolve(np.square(made), np.ones(32) / 32, mode="same")
    for onset in onsets:
        near = slice(onset - 800, onset + 800)
        # First sample above half of the burst's level; a cross-fade can begin earlier.
        first = onset - 800 + int(np.argmax(level[near] > 0.045))
        assert abs(first - onset) < 0.01 * SAMPLE_RATE, onset


def test_no_pitch_is_shifted_by_zero_cents():
    wave = harmonic(150.0, 0.5)
    torch.testing.assert_close(
        at_pitch(wave[None], torch.tensor([len(wave)]), torch.zeros(1))[0], wave, atol=1e-4, rtol=0
    )


def test_pitches_fill_their_range():
    waves = harmonic(200.0, 0.4).expand(60, -1)
    made = effects(pitch={})(waves, torch.full((60,), waves.shape[1]), drawn())
    found = [np.median(librosa.yin(x.numpy(), fmin=120, fmax=320, sr=SAMPLE_RATE, frame_length=1024)) for x in made]
    cents = 1200 * np.log2(np.array(found) / 200)
    assert -320 < cents.min() < -230
    assert 230 < cents.max() < 320
