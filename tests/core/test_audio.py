import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, AudioError, AudioWarning, Wave
from earmark.core.errors import EarmarkError, InputError


def tone(seconds: float = 1.0, rate_hz: int = SAMPLE_RATE, pitch_hz: float = 440.0) -> Wave:
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def floats(*samples: float) -> Wave:
    return np.array(samples, np.float32)


def noise(samples: int, seed: int = 0) -> Wave:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        (".wav", "PCM_U8", 0.01),
        (".wav", "PCM_16", 1e-3),
        (".wav", "PCM_24", 1e-3),
        (".wav", "FLOAT", 1e-3),
        (".wav", "DOUBLE", 1e-3),
        (".wav", "ULAW", 0.03),
        (".flac", "PCM_16", 1e-3),
        (".flac", "PCM_24", 1e-3),
        (".aiff", "PCM_16", 1e-3),
        (".au", "PCM_16", 1e-3),
        (".ogg", "VORBIS", 0.2),
        (".mp3", None, 0.2),
    ],
)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_any_format_and_rate_becomes_the_same_tone(
    tmp_path: Path, suffix: str, subtype: str | None, tolerance: float, rate_hz: int
):
    path = tmp_path / f"tone{suffix}"
    sf.write(path, np.stack([tone(1, rate_hz), tone(1, rate_hz)], axis=1), rate_hz, subtype=subtype)
    wave = audio.read(path)
    assert wave.dtype == np.float32
    assert abs(len(wave) - SAMPLE_RATE) <= 2 or suffix == ".mp3"  # MP3 pads to whole frames
    middle = slice(2_000, 14_000)  # resampling rings at the edges
    spectrum = np.abs(np.fft.rfft(wave[middle]))
    assert np.fft.rfftfreq(12_000, 1 / SAMPLE_RATE)[spectrum.argmax()] == pytest.approx(440, abs=1.5)
    if suffix not in (".ogg", ".mp3"):
        np.testing.assert_allclose(wave[middle], tone()[middle], atol=tolerance)


def test_96_khz_stereo_is_averaged_and_resampled(tmp_path: Path):
    path = tmp_path / "wide.wav"
    sf.write(path, np.stack([tone(1, 96_000), np.zeros(96_000)], axis=1), 96_000, subtype="PCM_24")
    wave = audio.read(path)
    assert wave.shape == (16_000,)
    np.testing.assert_allclose(wave[2_000:14_000], tone()[2_000:14_000] / 2, atol=1e-3)


def test_frequencies_above_8_khz_do_not_fold_back(tmp_path: Path):
    path = tmp_path / "whistle.wav"
    sf.write(path, tone(1, 48_000, 12_000), 48_000)
    assert np.abs(audio.read(path)[2_000:14_000]).max() < 1e-3


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("block_s", [0.01, 0.37, 1.0, 60.0])
def test_blocks_of_any_length_are_the_whole_file_resampled_at_once(tmp_path: Path, rate_hz: int, block_s: float):
    path = tmp_path / "noise.wav"
    sound = noise(3 * rate_hz + 17)
    sf.write(path, sound, rate_hz, subtype="FLOAT")
    pieces = list(audio.blocks(path, block_s))
    assert all(len(piece) for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), audio.read(path))
    np.testing.assert_allclose(np.concatenate(pieces), soxr.resample(sound, rate_hz, SAMPLE_RATE), atol=1e-6)


def test_three_hours_are_read_in_constant_memory(tmp_path: Path):
    path = tmp_path / "long.wav"
    length_s = 3 * 3600
    data_bytes = length_s * 8_000
    sf.write(path, np.zeros(0), 8_000, subtype="PCM_U8")
    header = bytearray(path.read_bytes())
    header[4:8] = (36 + data_bytes).to_bytes(4, "little")
    header[40:44] = data_bytes.to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(header)
        file.truncate(44 + data_bytes)  # a hole in the file, which reads as zeros and takes no disk
    assert audio.duration_s(path) == length_s
    tracemalloc.start()
    samples = sum(map(len, audio.blocks(path, 10)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert samples == length_s * SAMPLE_RATE
    assert peak_bytes < 8e6  # the whole of it is 691 MB


def test_the_first_block_is_yielded_before_the_file_is_read(tmp_path: Path):
    path = tmp_path / "late_fault.wav"
    sound = np.zeros(10 * 8_000, np.float32)
    sound[-1] = np.nan
    sf.write(path, sound, 8_000, subtype="FLOAT")
    pieces = audio.blocks(path)
    next(pieces)
    with pytest.raises(AudioError, match=r"late_fault\.wav: contains NaN.*at 10\.000 s"):
        list(pieces)


@pytest.mark.parametrize(("suffix", "rate_hz"), [("wav", 16_000), ("wav", 44_100), ("opus", 16_000)])
def test_spans_of_a_long_file_are_those_of_the_whole(tmp_path: Path, suffix: str, rate_hz: int):
    path, times_s = tmp_path / f"long.{suffix}", np.arange(20 * rate_hz) / rate_hz
    wave = 0.3 * np.sin(2 * np.pi * (200 + 20 * times_s) * times_s)
    sf.write(
        path, wave, rate_hz, format="OGG" if suffix == "opus" else None, subtype="OPUS" if suffix == "opus" else None
    )
    whole, spans = audio.read(path), [(7.25, 8.5), (0.0, 0.4), (-1.0, 0.2), (19.5, 30.0), (2.0, 1.0)]
    found = audio.read_spans(path, spans)
    for (start_s, end_s), span in zip(spans, found, strict=True):
        expected = whole[max(0, round(start_s * 16_000)) : max(0, round(end_s * 16_000))]
        assert abs(len(span) - len(expected)) <= 1
        np.testing.assert_allclose(span[: len(expected)], expected[: len(span)], atol=0.02)


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_an_error_naming_file_and_place(tmp_path: Path, fault: float):
    path = tmp_path / "broken.wav"
    sound = tone()
    sound[8_000] = fault
    sf.write(path, sound, SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"broken\.wav: contains NaN .* at 0\.500 s"):
        audio.read(path)


def test_silence_is_audio(tmp_path: Path):
    path = tmp_path / "silence.wav"
    sf.write(path, np.zeros(1_000), SAMPLE_RATE)
    np.testing.assert_array_equal(audio.read(path), np.zeros(1_000, np.float32))


def test_the_available_part_of_a_truncated_wav_is_read_with_a_warning(tmp_path: Path):
    path = tmp_path / "cut.wav"
    audio.write(path, tone())
    path.write_bytes(path.read_bytes()[: 44 + 2 * 4_000 + 1])
    with pytest.warns(AudioWarning, match=r"cut\.wav: .* 0\.25 s"):
        wave = audio.read(path)
    np.testing.assert_allclose(wave, tone()[:4_000], atol=1e-4)


def test_the_available_part_of_a_truncated_flac_is_read_with_a_warning(tmp_path: Path):
    path = tmp_path / "cut.flac"
    audio.write(path, noise(10 * SAMPLE_RATE))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(AudioWarning, match=r"cut\.flac: "):
        wave = audio.read(path)
    assert 4 * SAMPLE_RATE < len(wave) < 5.1 * SAMPLE_RATE
    np.testing.assert_allclose(wave, noise(10 * SAMPLE_RATE)[: len(wave)], atol=1e-4)


def test_a_wav_of_unknown_length_as_from_a_pipe_is_read_without_a_warning(tmp_path: Path):
    path = tmp_path / "piped.wav"
    audio.write(path, tone())
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert len(audio.read(path)) == SAMPLE_RATE


def test_a_flac_without_a_length_is_read_and_measured(tmp_path: Path):
    path = tmp_path / "streamed.flac"
    audio.write(path, noise(20_000))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that hold the number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert len(audio.read(path)) == 20_000
    assert audio.duration_s(path) == 1.25


def test_unreadable_files_are_refused_in_one_line_with_the_cure(tmp_path: Path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "notes.wav").write_text("this is no sound\n" * 100)
    (tmp_path / "film clip.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00M4A mp42isom" + bytes(5_000))
    (tmp_path / "header.wav").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    (tmp_path / "samples.raw").write_bytes(bytes(2_000))
    sf.write(tmp_path / "nothing.wav", np.zeros(0), SAMPLE_RATE)
    sf.write(tmp_path / "nothing_8k.wav", np.zeros(0), 8_000)
    for name, cure in {
        "absent.wav": "no such file",
        "": "a folder",
        "empty.wav": "the file is empty",
        "nothing.wav": "contains no audio",
        "nothing_8k.wav": "contains no audio",
        "notes.wav": "ffmpeg -i ",
        "header.wav": "ffmpeg -i ",
        "samples.raw": "ffmpeg -i ",
        "film clip.m4a": f"ffmpeg -i '{tmp_path}/film clip.m4a' '{tmp_path}/film clip.16k.wav'",
    }.items():
        path = tmp_path / name
        with pytest.raises(AudioError) as caught:
            audio.read(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert cure in message
        assert "\n" not in message
        with pytest.raises(AudioError):
            list(audio.blocks(path))
        if not name.startswith("nothing"):
            with pytest.raises(AudioError):
                audio.duration_s(path)


def test_an_audio_error_is_an_input_error():
    assert issubclass(AudioError, InputError)
    assert issubclass(AudioError, EarmarkError)
    assert issubclass(AudioError, ValueError)


def test_duration_is_that_of_the_file_at_its_own_rate(tmp_path: Path):
    path = tmp_path / "tone.wav"
    sf.write(path, tone(1.5, 44_100), 44_100)
    assert audio.duration_s(path) == 1.5


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
def test_writing_and_reading_keeps_every_16_bit_sample(tmp_path: Path, suffix: str):
    path = tmp_path / f"steps{suffix}"
    steps = np.arange(-32_768, 32_768, dtype=np.int16)
    audio.write(path, steps)
    assert sf.info(path).subtype == "PCM_16"
    np.testing.assert_array_equal(audio.read(path), steps / np.float32(32_768))


def test_writing_clips_loud_samples(tmp_path: Path):
    audio.write(tmp_path / "loud.wav", floats(-3, 3))
    np.testing.assert_array_equal(audio.read(tmp_path / "loud.wav"), floats(-1, 32_767 / 32_768))


def test_writing_to_a_missing_folder_or_an_unknown_suffix_is_refused(tmp_path: Path):
    with pytest.raises(AudioError, match=r"x\.wav: cannot be written.*folder"):
        audio.write(tmp_path / "absent" / "x.wav", tone())
    with pytest.raises(AudioError, match=r"x\.doc: .*\.wav"):
        audio.write(tmp_path / "x.doc", tone())


@settings(max_examples=30)
@given(samples=st.integers(1, 5_000), seed=st.integers(0, 99), gain=st.floats(0, 12))
def test_packing_keeps_a_wave_within_half_a_16_bit_step(samples: int, seed: int, gain: float):
    wave = np.clip(gain * noise(samples, seed), -1, 32_767 / 32_768).astype(np.float32)
    unpacked = audio.unpack(audio.pack(wave))
    np.testing.assert_allclose(unpacked, wave, atol=0.5 / 32_768)
    np.testing.assert_array_equal(audio.unpack(audio.pack(unpacked)), unpacked)


def test_damaged_or_missing_packed_audio_is_an_error():
    with pytest.raises(AudioError, match="damaged"):
        audio.unpack(b"not flac")
    with pytest.raises(AudioError, match="empty"):
        audio.pack(np.zeros(0, np.float32))


def test_integers_of_16_and_32_bits_are_scaled():
    np.testing.assert_array_equal(audio.as_wave(np.array([-32_768, 16_384], np.int16)), floats(-1, 0.5))
    np.testing.assert_array_equal(audio.as_wave(np.array([-(2**31), 2**30], np.int32)), floats(-1, 0.5))
    assert audio.as_wave([0.5, -0.5]).dtype == np.float32
    assert audio.as_wave([]).shape == (0,)


def test_a_wave_is_handed_on_without_a_copy():
    wave = tone()
    assert audio.as_wave(wave) is wave


@pytest.mark.parametrize(
    ("array", "cure"),
    [
        (np.zeros((2, 100), np.float32), r"shape \(2, 100\); average its channels"),
        (np.float32(0.5), "one dimension"),
        (floats(0, np.nan), "NaN"),
        (floats(0, -np.inf), "NaN or infinite"),
        (floats(0, 12_345), "up to 12345; scale it down"),
        (np.zeros(10, np.uint8), r"not uint8; convert"),
        (np.zeros(10, np.int64), r"not int64; convert"),
        (np.zeros(10, bool), r"not bool; convert"),
        (np.zeros(10, np.complex64), r"not complex64; convert"),
        (["a", "b"], "float32"),
    ],
)
def test_an_array_that_is_not_audio_is_an_error_with_the_cure(array: np.ndarray, cure: str):
    with pytest.raises(AudioError, match=cure):
        audio.as_wave(array)
