import numpy as np
import pytest
import torch
from pydantic import ValidationError

from earmark.core.errors import InputError
from earmark.training.batches.augment import AugmentationAudio
from earmark.training.batches.augment.one_of import OneOfAugmentation, OneOfSettings

CPU = torch.device("cpu")
SIZE = 800
NEVER = {"nothing": 0, "room": {"weight": 0}, "noise": {"weight": 0}, "music": {"weight": 0}, "speech": {"weight": 0}}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sound(count, size, seed):
    return list(0.1 * torch.randn(count, size, generator=seeded(seed)))


def only(effect, **settings):
    """Settings that apply one effect to every clip."""
    return OneOfSettings.model_validate(NEVER | {effect: {"weight": 1, **settings}})


def one_of(settings=None, noise=(), music=(), speech=(), rooms=(), **options):
    return OneOfAugmentation(
        settings or OneOfSettings(), AugmentationAudio(noise, music, speech, rooms), CPU, **options
    )


def with_all_effects(**options):
    rooms = [torch.tensor([0.0, 1.0, 0.0, 0.5]), torch.tensor([1.0, -0.3])]
    return one_of(None, sound(3, 2000, 1), sound(2, 900, 2), sound(4, 300, 3), rooms, **options)


@pytest.fixture
def all_effects():
    return with_all_effects()


def power(waves):
    return waves.double().square().mean(-1)


def snr_db(clean, augmented):
    return 10 * torch.log10(power(clean) / power(augmented.double() - clean.double()))


def test_each_effect_has_its_published_probability(all_effects):
    plan = all_effects.plan(12_000, SIZE, seeded())
    first_music, first_speech = 3, 5
    mixed, once = np.unique(plan.mixed.numpy(), return_index=True)
    recording = plan.crops.recording[once]
    assert len(plan.in_room) / 12_000 == pytest.approx(1 / 6, abs=0.015)
    assert (recording < first_music).sum() / 12_000 == pytest.approx(1 / 6, abs=0.015)
    assert ((recording >= first_music) & (recording < first_speech)).sum() / 12_000 == pytest.approx(1 / 6, abs=0.015)
    assert (recording >= first_speech).sum() / 12_000 == pytest.approx(1 / 6, abs=0.015)
    assert not {*mixed} & {*plan.in_room.tolist()}


def test_clean_clips_keep_every_bit(all_effects):
    waves = torch.stack(sound(300, SIZE, 7))
    plan = all_effects.plan(300, SIZE, seeded())
    augmented = all_effects.apply(waves.clone(), plan)
    touched = set(plan.in_room.tolist()) | set(plan.mixed.tolist())
    for clip in range(300):
        assert torch.equal(augmented[clip], waves[clip]) == (clip not in touched)


@pytest.mark.parametrize(("effect", "low", "high"), [("noise", 0, 15), ("music", 5, 15)])
def test_the_measured_snr_is_the_published_one(effect, low, high):
    ours = one_of(only(effect), **{effect: sound(3, 3000, 1)})
    # A word in the middle of silence: the SNR uses the mean power of the whole clip.
    clean = torch.stack(sound(500, SIZE, 7))
    clean[:, :200] = 0
    plan = ours.plan(500, SIZE, seeded())
    measured = snr_db(clean, ours.apply(clean.clone(), plan))
    torch.testing.assert_close(measured, plan.snr_db.double(), atol=1e-3, rtol=0)
    assert low <= plan.snr_db.min() < low + 0.2
    assert high - 0.2 < plan.snr_db.max() <= high


def test_one_or_two_speakers_are_added_each_at_its_own_snr():
    ours = one_of(only("speech"), speech=sound(4, 3000, 1))
    clean = torch.stack(sound(400, SIZE, 7))
    plan = ours.plan(400, SIZE, seeded())
    joining = torch.bincount(plan.mixed, minlength=400)
    assert joining.unique().tolist() == [1, 2]
    assert (joining == 2).float().mean() == pytest.approx(0.5, abs=0.08)
    augmented = ours.apply(clean.clone(), plan)
    voices = [
        wave.numpy()[start : start + SIZE]
        for wave, start in (
            (sound(4, 3000, 1)[r], s)
            for r, s in zip(*map(torch.Tensor.tolist, (plan.crops.recording, plan.crops.start)), strict=True)
        )
    ]
    for clip in range(400):
        expected = clean[clip].double().numpy()
        mine = (plan.mixed == clip).nonzero()[:, 0].tolist()
        for number in mine:
            voice = voices[number].astype(np.float64)
            ratio = 10 ** (-plan.snr_db[number].item() / 10)
            expected = expected + voice * np.sqrt(power(clean[clip]).item() * ratio / np.mean(voice**2))
        np.testing.assert_allclose(augmented[clip], expected, atol=1e-6)
    assert 13 <= plan.snr_db.min() < 13.2
    assert 19.8 < plan.snr_db.max() <= 20


def test_digital_silence_gets_noise_of_a_fixed_level():
    ours = one_of(only("noise"), noise=sound(3, 3000, 1))
    plan = ours.plan(200, SIZE, seeded())
    augmented = ours.apply(torch.zeros(200, SIZE), plan)
    torch.testing.assert_close(10 * power(augmented).log10(), -40 - plan.snr_db.double(), atol=1e-3, rtol=0)


def test_silent_noise_adds_nothing():
    ours = one_of(only("noise"), noise=[torch.zeros(3000)])
    clean = torch.stack(sound(20, SIZE, 7))
    assert torch.equal(ours.apply(clean.clone(), ours.plan(20, SIZE, seeded())), clean)


def test_noise_is_from_any_position_of_its_recording():
    noise = torch.arange(1.0, SIZE + 101)
    ours = one_of(only("noise"), noise=[noise])
    plan = ours.plan(3000, SIZE, seeded())
    added = ours.apply(torch.zeros(3000, SIZE), plan)
    first = (added[:, 0] / added.diff(dim=1).mean(1)).round().int()
    assert set(first.tolist()) == set(range(1, 102))


def test_noise_that_is_shorter_than_the_clip_is_tiled():
    ours = one_of(only("noise"), noise=[torch.rand(300, generator=seeded())])
    added = ours.apply(torch.zeros(50, SIZE), ours.plan(50, SIZE, seeded()))
    torch.testing.assert_close(added[:, 300:], added[:, :-300])


def test_a_room_is_convolved_from_its_direct_sound_on():
    response = torch.cat([torch.zeros(30), torch.tensor([0.1, -0.9]), 0.2 * torch.randn(2 * SIZE, generator=seeded())])
    ours = one_of(only("room"), rooms=[response])
    clean = torch.stack(sound(100, SIZE, 7))
    plan = ours.plan(100, SIZE, seeded())
    augmented = ours.apply(clean.clone(), plan)
    direct = response[31:].double().numpy()
    direct /= np.sqrt(np.sum(direct**2))
    for wave, room_gain, source in zip(augmented.numpy(), plan.room_gain.tolist(), clean.numpy(), strict=True):
        np.testing.assert_allclose(wave, room_gain * np.convolve(source, direct)[:SIZE], atol=1e-6)
    assert 10**-0.7 <= plan.room_gain.min() < 10**-0.66
    assert 10**0.26 < plan.room_gain.max() <= 10**0.3


def test_rooms_of_any_length_are_all_used():
    ours = one_of(only("room"), rooms=[torch.ones(1), torch.tensor([1.0, 0.0, 0.0, 0.5]), torch.rand(5000)])
    assert ours.plan(100, SIZE, seeded()).room.unique().tolist() == [0, 1, 2]
    waves = ours.apply(torch.stack(sound(100, SIZE, 7)), ours.plan(100, SIZE, seeded()))
    assert waves.isfinite().all()


@pytest.mark.parametrize("effect", ["room", "noise", "music", "speech"])
def test_an_effect_without_recordings_is_refused_unless_its_weight_is_0(effect):
    given = {"noise": sound(1, 900, 1), "music": sound(1, 900, 1), "speech": sound(1, 900, 1), "rooms": [torch.ones(9)]}
    key = "rooms" if effect == "room" else effect
    del given[key]
    with pytest.raises(InputError, match=rf"^data\.{key}: .* augment\.{effect}\.weight"):
        one_of(**given)
    ours = one_of(OneOfSettings.model_validate({effect: {"weight": 0}}), **given)
    waves = torch.stack(sound(60, SIZE, 7))
    assert ours.apply(waves, ours.plan(60, SIZE, seeded())) is waves


def test_clean_clips_need_no_recordings():
    ours = one_of(OneOfSettings.model_validate(NEVER | {"nothing": 1}))
    waves = torch.stack(sound(4, SIZE, 7))
    assert torch.equal(ours.apply(waves.clone(), ours.plan(4, SIZE, seeded())), waves)


@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 20), slice(49, 50), slice(0, 50), slice(None, 10), slice(7, 7)])
@pytest.mark.parametrize("size", [SIZE, 15_999, 16_000])
def test_some_rows_of_a_plan_have_the_bits_of_the_whole_plan(all_effects, rows, size):
    waves = torch.stack(sound(50, size, 7))
    plan = all_effects.plan(50, size, seeded())
    assert torch.equal(all_effects.apply(waves[rows].clone(), plan, rows), all_effects.apply(waves.clone(), plan)[rows])


def test_mixing_by_batch_equals_mixing_by_row(all_effects):
    waves = torch.stack(sound(200, SIZE, 7))
    waves[::9] = 0
    plan = all_effects.plan(200, SIZE, seeded())
    by_batch, by_row = waves.clone(), waves.clone()
    all_effects.mix(by_batch, plan.mixed, plan.crops, 10 ** (-plan.snr_db / 20))
    all_effects.mix_rows(by_row, plan.mixed, plan.crops, 10 ** (-plan.snr_db / 20))
    torch.testing.assert_close(by_batch, by_row, atol=1e-6, rtol=0)


def test_rooms_without_cached_spectra_give_the_same_waves(all_effects):
    waves = torch.stack(sound(50, SIZE, 7))
    plan = all_effects.plan(50, SIZE, seeded())
    kept = all_effects.apply(waves.clone(), plan)
    uncached = with_all_effects(cached=0)
    again = uncached.apply(waves.clone(), plan)
    torch.testing.assert_close(again, kept, atol=1e-6, rtol=0)
    assert torch.equal(uncached.apply(waves[3:5].clone(), plan, slice(3, 5)), again[3:5])


def test_one_seed_gives_one_plan(all_effects):
    waves = torch.stack(sound(50, SIZE, 7))
    one, same, other = (
        all_effects.apply(waves.clone(), all_effects.plan(50, SIZE, seeded(seed))) for seed in (4, 4, 5)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_changed_setting_keeps_the_other_published_settings():
    settings = OneOfSettings.model_validate({"speech": {"files": [3, 7]}, "music": {"weight": 0}})
    assert settings.speech.files == (3, 7)
    assert settings.speech.snr_db == (13, 20)
    assert settings.music.snr_db == (5, 15)


@pytest.mark.parametrize(
    "wrong",
    [
        NEVER,
        {"nothing": -1},
        {"speech": {"files": (0, 2)}},
        {"speech": {"files": (3, 2)}},
        {"noise": {"snr_db": (9, 3)}},
        {"room": {"gain": (3, -7)}},
        {"noize": {}},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        OneOfSettings.model_validate(wrong)
