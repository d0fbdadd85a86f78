import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from earmark import load_encoder
from earmark.core.errors import InputError
from earmark.training.nn.frontends.log_mel import ClipLogMel, LogMelSettings
from earmark.training.sequences.frames import (
    ContextSettings,
    FrameSettings,
    LogMelFrameSettings,
    hop_s,
    section_frames,
    times_s,
)

KINDS = ["log_mel", "tower", "encoder", "wav2vec2"]


@pytest.fixture(scope="module")
def sources(wav2vec2):
    made = {
        kind: TypeAdapter(FrameSettings)
        .validate_python({"kind": kind} | ({"model": str(wav2vec2), "layer": 1} if kind == "wav2vec2" else {}))
        .build_source()
        for kind in KINDS
    }
    return {
        **made,
        "tiny": TypeAdapter(FrameSettings).validate_python({"kind": "encoder", "model": "tiny"}).build_source(),
    }


@pytest.fixture(scope="module")
def sound():
    rng = np.random.default_rng(0)
    seconds = np.arange(6 * 16_000) / 16_000
    return np.float32(0.05 * rng.standard_normal(len(seconds)) * (1.1 + np.sin(2 * np.pi * 3 * seconds)))


def test_no_kind_means_log_mel():
    assert isinstance(TypeAdapter(FrameSettings).validate_python({}), LogMelSettings)


@pytest.mark.parametrize("kind", [*KINDS, "tiny"])
@pytest.mark.parametrize("size", [0, 1, 100, 640, 641, 16_000])
def test_a_wave_of_any_length_has_finite_frames_about_one_a_hop(sources, kind, size):
    source = sources[kind]
    frames = source.frames(np.full(size, 0.01, np.float32))
    assert frames.dtype == np.float32
    assert frames.shape[1] == source.width
    assert abs(len(frames) - size / source.hop) <= 1.5
    assert np.isfinite(frames).all()


@pytest.mark.parametrize("kind", [*KINDS, "tiny"])
@pytest.mark.parametrize("at_s", [1.3, 2.017, 3.3333])
def test_a_frame_s_time_is_that_of_the_sound_it_describes(sources, sound, kind, at_s):
    source = sources[kind]
    other = sound.copy()
    place = round(at_s * 16_000)
    burst = 0.3 * np.hanning(320) * np.sin(2 * np.pi * 1000 * np.arange(320) / 16_000)
    other[place - 160 : place + 160] += burst.astype(np.float32)
    changed = np.square(source.frames(other) - source.frames(sound)).sum(axis=1)
    # What long views change far from the burst must not weigh.
    changed[changed < 0.1 * changed.max()] = 0
    middle_s = (changed * times_s(source, len(changed))).sum() / changed.sum()
    # speech_embedding sees 775 ms, and every encoder learns how much of it to hear.
    assert abs(middle_s - at_s) <= {"log_mel": 0.005, "wav2vec2": 0.02, "tower": 0.06}.get(kind, 0.15)
    assert changed[np.abs(times_s(source, len(changed)) - at_s).argmin()] > 0


def test_log_mel_frames_are_those_of_the_frontend(sources, sound):
    expected = ClipLogMel(LogMelSettings())(torch.tensor(sound)[None])[0].numpy()
    np.testing.assert_array_equal(sources["log_mel"].frames(sound), expected)


def test_encoder_frames_are_those_of_the_runtime(sources, sound):
    np.testing.assert_array_equal(sources["encoder"].frames(sound), load_encoder().frames(sound))


def test_sources_tell_themselves_apart(sources):
    assert len({source.fingerprint for source in sources.values()}) == len(sources)
    fewer = LogMelFrameSettings(n_mels=20).build_source()
    assert fewer.fingerprint != sources["log_mel"].fingerprint
    assert LogMelFrameSettings().build_source().fingerprint == sources["log_mel"].fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_has_the_frames_whose_instants_lie_in_it(sources, sound, kind):
    source = sources[kind]
    frames, first_s = section_frames(source, sound, 1.0071, 2.5, ContextSettings())
    hop = hop_s(source)
    assert 0 <= first_s - 1.0071 < hop
    last_s = first_s + (len(frames) - 1) * hop
    assert 0 <= 2.5 - last_s < hop
    # All of the recording is within 5 s, so that the frames are those of the whole.
    whole = source.frames(sound)
    start = round((first_s - source.first_s) / hop)
    np.testing.assert_allclose(frames, whole[start : start + len(frames)], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_a_long_section_fit_together(sources, sound, kind):
    source = sources[kind]
    whole, first_s = section_frames(source, sound, 0.3, 5.7, ContextSettings())
    pieces, same_s = section_frames(source, sound, 0.3, 5.7, ContextSettings(longest_s=1.37, context_s=0.9))
    assert same_s == first_s
    assert pieces.shape == whole.shape
    if kind != "wav2vec2":  # whose attention and normalization hear all that there is
        np.testing.assert_allclose(pieces, whole, atol=1e-3)


class Listener:
    """A source that is its input: a sample a frame, and notes of how much it heard."""

    name, fingerprint, width, hop, first_s, reach_s = "listener", "0", 1, 1, 0.5 / 16_000, float("inf")

    def __init__(self):
        self.heard = []

    def frames(self, wave):
        self.heard.append(len(wave))
        return wave[:, None]


def test_a_section_is_heard_with_five_seconds_around_it_and_twenty_at_a_time():
    wave = np.arange(60 * 16_000, dtype=np.float32)
    source = Listener()
    frames, first_s = section_frames(source, wave, 2.0, 47.0, ContextSettings())
    assert [heard / 16_000 for heard in source.heard] == [27, 30, 15]
    np.testing.assert_array_equal(frames[:, 0], np.arange(2 * 16_000, 47 * 16_000))
    assert first_s == pytest.approx(2 + 0.5 / 16_000)
    source = Listener()
    section_frames(source, wave, 10.0, 30.0, ContextSettings())
    assert source.heard == [30 * 16_000]


def test_a_section_of_less_than_40_ms_has_no_frames():
    source = Listener()
    frames, _ = section_frames(source, np.zeros(16_000, np.float32), 0.5, 0.539, ContextSettings())
    assert frames.shape == (0, 1)
    assert not source.heard


def test_a_section_beyond_the_recording_is_refused():
    with pytest.raises(InputError, match=r"starts at 2 s.*ends at 1\.00 s"):
        section_frames(Listener(), np.zeros(16_000, np.float32), 2.0, 3.0, ContextSettings())


def test_centered_bands_have_no_mean_over_what_is_heard():
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    plain, centered = (
        LogMelFrameSettings(centered=is_centered).build_source().frames(sound) for is_centered in (False, True)
    )
    np.testing.assert_allclose(centered, plain - plain.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("kind", ["log_mel", "tower"])
def test_sound_beyond_its_reach_does_not_change_a_frame(sources, kind):
    source = sources[kind]
    sound = np.random.default_rng(0).normal(0, 0.1, 12 * 16_000).astype(np.float32)
    near, far = ContextSettings(context_s=source.reach_s), ContextSettings(context_s=6.0)
    changed = sound.copy()
    beyond = round(source.reach_s * 16_000) + source.hop
    changed[: round(5.1 * 16_000) - beyond] = 0
    changed[round(6.3 * 16_000) + beyond :] = 0
    heard = section_frames(source, sound, 5.1, 6.3, far)[0]
    for wave, settings in ((sound, near), (changed, far)):
        np.testing.assert_allclose(section_frames(source, wave, 5.1, 6.3, settings)[0], heard, atol=1e-5)
