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
def sources(wav2vec2, own_encoder):
    made = {
        kind: TypeAdapter(FrameSettings)
        .validate_python({"kind": kind} | ({"model": str(wav2vec2), "layer": 1} if kind == "wav2vec2" else {}))
        .build_source()
        for kind in KINDS
    }
    return {
        **made,
        "own encoder": TypeAdapter(FrameSettings)
        .validate_python({"kind": "encoder", "model": str(own_encoder.path)})
        .build_source(),
    }


@pytest.fixture(scope="module")
def sound():
    rng = np.random.default_rng(0)
    seconds = np.arange(6 * 16_000) / 16_000
    return np.float32(0.05 * rng.standard_normal(len(seconds)) * (1.1 + np.sin(2 * np.pi * 3 * seconds)))


def test_the_default_kind_is_log_mel():
    assert isinstance(TypeAdapter(FrameSettings).validate_python({}), LogMelSettings)


@pytest.mark.parametrize("kind", [*KINDS, "own encoder"])
@pytest.mark.parametrize("size", [0, 1, 100, 640, 641, 16_000])
def test_a_wave_of_any_length_has_finite_frames_about_one_a_hop(sources, kind, size):
    source = sources[kind]
    frames = source.frames(np.full(size, 0.01, np.float32))
    assert frames.dtype == np.float32
    assert frames.shape[1] == source.width
    assert abs(len(frames) - size / source.hop) <= 1.5
    assert np.isfinite(frames).all()


@pytest.mark.parametrize("kind", [*KINDS, "own encoder"])
@pytest.mark.parametrize("at_s", [1.3, 2.017, 3.3333])
def test_the_time_of_a_frame_is_that_of_its_audio(sources, sound, kind, at_s):
    source = sources[kind]
    other = sound.copy()
    place = round(at_s * 16_000)
    burst = 0.3 * np.hanning(320) * np.sin(2 * np.pi * 1000 * np.arange(320) / 16_000)
    other[place - 160 : place + 160] += burst.astype(np.float32)
    changed = np.square(source.frames(other) - source.frames(sound)).sum(axis=1)
    # Small changes of long views far from the burst do not count.
    changed[changed < 0.1 * changed.max()] = 0
    middle_s = (changed * times_s(source, len(changed))).sum() / changed.sum()
    # A frame of speech_embedding depends on 775 ms, weighted by training.
    assert abs(middle_s - at_s) <= {"log_mel": 0.005, "wav2vec2": 0.02, "tower": 0.06}.get(kind, 0.15)
    assert changed[np.abs(times_s(source, len(changed)) - at_s).argmin()] > 0


def test_log_mel_frames_are_those_of_the_frontend(sources, sound):
    expected = ClipLogMel(LogMelSettings())(torch.tensor(sound)[None])[0].numpy()
    np.testing.assert_array_equal(sources["log_mel"].frames(sound), expected)


def test_encoder_frames_are_those_of_the_runtime(sources, sound):
    np.testing.assert_array_equal(sources["encoder"].frames(sound), load_encoder().frames(sound))


def test_different_sources_have_different_fingerprints(sources):
    assert len({source.fingerprint for source in sources.values()}) == len(sources)
    fewer = LogMelFrameSettings(n_mels=20).build_source()
    assert fewer.fingerprint != sources["log_mel"].fingerprint
    assert LogMelFrameSettings().build_source().fingerprint == sources["log_mel"].fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_has_the_frames_whose_times_are_in_it(sources, sound, kind):
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
    if kind != "wav2vec2":  # whose attention and normalization depend on the whole wave
        np.testing.assert_allclose(pieces, whole, atol=1e-3)


class Identity:
    """A source whose frames are the samples of the wave; it records the lengths of waves."""

    name, fingerprint, width, hop, first_s, reach_s = "identity", "0", 1, 1, 0.5 / 16_000, float("inf")

    def __init__(self):
        self.lengths = []

    def frames(self, wave):
        self.lengths.append(len(wave))
        return wave[:, None]


def test_frames_are_computed_in_chunks_of_20_s_with_5_s_of_context():
    wave = np.arange(60 * 16_000, dtype=np.float32)
    source = Identity()
    frames, first_s = section_frames(source, wave, 2.0, 47.0, ContextSettings())
    assert [length / 16_000 for length in source.lengths] == [27, 30, 15]
    np.testing.assert_array_equal(frames[:, 0], np.arange(2 * 16_000, 47 * 16_000))
    assert first_s == pytest.approx(2 + 0.5 / 16_000)
    source = Identity()
    section_frames(source, wave, 10.0, 30.0, ContextSettings())
    assert source.lengths == [30 * 16_000]


def test_a_section_of_less_than_40_ms_has_no_frames():
    source = Identity()
    frames, _ = section_frames(source, np.zeros(16_000, np.float32), 0.5, 0.539, ContextSettings())
    assert frames.shape == (0, 1)
    assert not source.lengths


def test_a_section_beyond_the_recording_is_refused():
    with pytest.raises(InputError, match="2 s"):
        section_frames(Identity(), np.zeros(16_000, np.float32), 2.0, 3.0, ContextSettings())


def test_centered_bands_have_no_mean_over_their_wave():
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    plain, centered = (
        LogMelFrameSettings(centered=is_centered).build_source().frames(sound) for is_centered in (False, True)
    )
    np.testing.assert_allclose(centered, plain - plain.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("kind", ["log_mel", "tower"])
def test_audio_beyond_the_reach_does_not_change_a_frame(sources, kind):
    source = sources[kind]
    sound = np.random.default_rng(0).normal(0, 0.1, 12 * 16_000).astype(np.float32)
    near, far = ContextSettings(context_s=source.reach_s), ContextSettings(context_s=6.0)
    changed = sound.copy()
    beyond = round(source.reach_s * 16_000) + source.hop
    changed[: round(5.1 * 16_000) - beyond] = 0
    changed[round(6.3 * 16_000) + beyond :] = 0
    expected = section_frames(source, sound, 5.1, 6.3, far)[0]
    for wave, settings in ((sound, near), (changed, far)):
        np.testing.assert_allclose(section_frames(source, wave, 5.1, 6.3, settings)[0], expected, atol=1e-5)
