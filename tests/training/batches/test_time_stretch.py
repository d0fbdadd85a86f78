from functools import cache

import librosa
import numpy as np
import pytest
import torch

from earmark import audio
from earmark.core.errors import InputError
from earmark.training.batches.time_stretch import Stretched, stretch

RATE = audio.SAMPLE_RATE
TEMPI = [0.5, 0.8, 1.3, 1.8]


def stretched(wave, tempo):
    """Stretch one wave: the stretched wave, and the `Stretched` batch."""
    made = stretch(torch.as_tensor(np.float32(wave))[None], torch.tensor([tempo]))
    return made.waves[0].numpy(), made


@cache
def voice(seconds, tempo=1.0):
    """A gliding voice with moving formants, synthesized at a tempo: the ideal result of a stretch."""
    time_s = np.arange(round(seconds * RATE / tempo)) * tempo / RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.9 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = (
        500 + 250 * np.sin(2 * np.pi * 1.3 * time_s),
        1500 + 600 * np.sin(2 * np.pi * 1.7 * time_s + 1),
        2600 + 200 * np.sin(2 * np.pi * 0.7 * time_s),
    )
    wave = np.zeros(len(time_s))
    for overtone in range(1, 45):
        level = sum(1 / (1 + ((overtone * pitch - middle) / 100) ** 2) for middle in formants)
        wave += level * np.cos(overtone * phase)
    return np.float32(0.1 * wave * np.clip(3 * np.sin(2 * np.pi * 2.5 * time_s) + 1.5, 0, 1))


def distance(one, other):
    """Mean absolute difference of log-mel energies."""
    size = min(len(one), len(other))
    levels = [
        np.log(librosa.feature.melspectrogram(y=wave[:size], sr=RATE, n_fft=512, hop_length=160, n_mels=40) + 1e-4)
        for wave in (one, other)
    ]
    return np.abs(levels[0] - levels[1]).mean()


def test_a_tempo_of_one_changes_nothing():
    wave = np.random.default_rng(0).standard_normal(9000)
    made, whole = stretched(wave, 1.0)
    np.testing.assert_allclose(made, wave, atol=1e-6)
    samples = torch.arange(0, 9000, 7)[None]
    assert torch.equal(whole.output_positions(samples), samples)


@pytest.mark.parametrize("tempo", [0.5, 0.73, 1.0, 1.21, 1.8])
@pytest.mark.parametrize("size", [1, 100, 511, 16_001])
def test_the_length_of_a_result_follows_from_the_tempo(tempo, size):
    made, whole = stretched(np.ones(size), tempo)
    # NumPy rounds halves to even numbers, like torch.
    assert whole.lengths.tolist() == [round(float(size / np.float64(np.float32(tempo))))]
    assert len(made) == whole.lengths[0]


def plain(wave, tempo):
    """WSOLA segment by segment, with a plain search over all shifts."""
    size = len(wave)
    length = round(size / tempo)
    around = np.pad(np.float64(wave), 4096)
    result, place = np.zeros(length + 4096), None
    rise = np.sin(np.pi / 2 * (np.arange(224) + 0.5) / 224) ** 2
    for laid in range(0, max(1, length - 224), 288):
        wanted = min(round((laid + 256) * tempo - 256), size)
        if place is None:
            place = wanted
            result[:512] = around[4096 + place :][:512]
            continue
        ahead = around[4096 + place + 288 :][:224]
        tried = []
        energies = []
        for shift in range(-128, 129):
            here = around[4096 + wanted + shift :][:224]
            tried.append(((here - ahead) ** 2).sum())
            energies.append((here**2).sum())
        staying = 1e-3 * (np.mean(energies) + 1e-9) * (np.arange(-128, 129) / 128) ** 2
        place = wanted - 128 + int(np.argmin(np.array(tried) + staying))
        piece = around[4096 + place :][:512]
        result[laid : laid + 224] = result[laid : laid + 224] * (1 - rise) + piece[:224] * rise
        result[laid + 224 : laid + 512] = piece[224:]
    return result[:length]


@pytest.mark.parametrize("tempo", [0.5, 1.25, 1.75])
def test_segments_are_placed_as_in_a_plain_loop(tempo):
    wave = voice(0.7) + 0.01 * np.random.default_rng(1).standard_normal(round(0.7 * RATE))
    np.testing.assert_allclose(stretched(wave, tempo)[0], plain(np.float32(wave), tempo), atol=1e-5)


def test_a_row_does_not_depend_on_longer_rows_or_on_samples_after_its_end():
    rng = np.random.default_rng(2)
    rows = torch.tensor(rng.standard_normal((3, 8000)), dtype=torch.float32)
    lengths, tempo = torch.tensor([8000, 3000, 5000]), torch.tensor([0.6, 1.7, 1.0])
    together = stretch(rows, tempo, lengths)
    for row, (wave, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
        alone = stretch(wave[None, :length], tempo[row : row + 1])
        size = int(alone.lengths[0])
        assert together.lengths[row] == size
        torch.testing.assert_close(together.waves[row, :size], alone.waves[0], atol=1e-5, rtol=0)
        assert not together.waves[row, size:].any()
        samples = torch.arange(0, length, 50)[None]
        mine = Stretched(together.waves[row, None], together.lengths[row, None], together.places[row, None])
        assert torch.equal(mine.output_positions(samples), alone.output_positions(samples))


@pytest.mark.parametrize("tempo", TEMPI)
@pytest.mark.parametrize("frequency_hz", [90.0, 440.0, 3000.0])
def test_a_tone_keeps_its_frequency(tempo, frequency_hz):
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(2 * RATE) / RATE)
    made, _ = stretched(tone, tempo)
    inner = made[1600:-1600]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner)), n=1 << 18))
    assert spectrum.argmax() * RATE / (1 << 18) == pytest.approx(frequency_hz, rel=0.01)
    # The level is kept too, because the two sides of a cross-fade are in phase.
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(np.sqrt(0.5), rel=0.03)


@pytest.mark.parametrize("tempo", TEMPI)
def test_a_chirp_has_its_frequencies_at_the_mapped_positions(tempo):
    time_s = np.arange(2 * RATE) / RATE
    chirp = np.sin(2 * np.pi * (300 * time_s + 500 * time_s**2))
    made, whole = stretched(chirp, tempo)
    for at_s in (0.4, 1.0, 1.6):
        middle = int(whole.output_positions(torch.tensor([[at_s * RATE]]))[0, 0])
        piece = made[middle - 400 : middle + 400] * np.hanning(800)
        found_hz = np.abs(np.fft.rfft(piece, n=1 << 16)).argmax() * RATE / (1 << 16)
        # The chirp changes by 20 Hz in 20 ms; half a percent is the resolution.
        expected_hz = 300 + 1000 * at_s
        assert abs(found_hz - expected_hz) < 20 + 0.005 * expected_hz


@pytest.mark.parametrize("tempo", TEMPI)
def test_onsets_are_at_the_mapped_positions(tempo, bursts):
    wave, onsets = bursts(0.3, 3.6, 0.31)
    made, whole = stretched(wave, tempo)
    level = np.convolve(made**2, np.ones(80) / 80, mode="same")
    for onset, position in zip(onsets, whole.output_positions(torch.tensor(onsets)[None])[0].tolist(), strict=True):
        first = position - 800 + int(np.argmax(level[position - 800 : position + 800] > 0.01))
        # 18 ms of the source: in slow speech an onset can be in two segments, late in the first of them.
        assert abs(first - position) <= 288 * max(1, 1 / tempo), onset
        # The position is also near that of an exact tempo.
        assert abs(position - onset / tempo) < 0.03 * RATE


@pytest.mark.parametrize("tempo", [0.5, 0.8, 0.95])
def test_clicks_in_slower_speech_are_at_the_mapped_positions(tempo):
    wave = 1e-3 * np.random.default_rng(4).standard_normal(2 * RATE)
    clicks = (np.arange(0.21, 1.8, 0.13) * RATE).astype(int)
    wave[clicks] = 1
    made, whole = stretched(wave, tempo)
    for position in whole.output_positions(torch.tensor(clicks)[None])[0].tolist():
        assert np.abs(made[position - 160 : position + 161]).max() > 0.4


@pytest.mark.parametrize("tempo", [0.4, 0.5, 1.0, 1.8])
def test_the_mapping_agrees_with_a_plain_search(tempo):
    wave = np.random.default_rng(5).standard_normal(RATE)
    _, whole = stretched(wave, tempo)
    samples = torch.arange(0, RATE, 11)[None]
    position = whole.output_positions(samples)[0]
    # Plain search for the segment with the nearest center, at most half a hop away.
    places = whole.places[0]
    middles = places + 256
    offset = samples[0][:, None] - middles
    distances = offset.abs()
    best = distances.argmin(1)
    assert torch.equal(distances.gather(1, best[:, None]), distances.amin(1, keepdim=True))
    near = offset.gather(1, best[:, None])[:, 0]
    near = torch.where(best == 0, near.clamp(-256, 144), near.clamp(-144, 144))
    near = torch.where(best == len(places) - 1, offset.gather(1, best[:, None])[:, 0].clamp(-144, 256), near)
    expected = (best * 288 + 256 + near).clamp(min=0).clamp(max=int(whole.lengths[0]))
    ties = (distances == distances.amin(1, keepdim=True)).sum(1) > 1
    assert torch.equal(position[~ties], expected[~ties])


@pytest.mark.parametrize("tempo", TEMPI)
def test_a_stretched_voice_is_nearer_to_the_ideal_than_librosa_s(tempo):
    wave, truth = voice(2), voice(2, tempo)
    made, _ = stretched(wave, tempo)
    theirs = librosa.effects.time_stretch(wave, rate=tempo, n_fft=512)
    assert abs(len(made) - len(theirs)) <= 1
    assert distance(made, truth) < min(0.25, distance(theirs, truth))


@pytest.mark.parametrize("tempo", TEMPI)
def test_recorded_words_are_similar_to_librosa_s(tempo):
    from earmark import demo

    word = audio.read(f"{demo.__path__[0]}/take_1.flac")
    made, _ = stretched(word, tempo)
    theirs = librosa.effects.time_stretch(word, rate=tempo, n_fft=512)
    unstretched = np.resize(word, len(theirs))
    assert distance(made, theirs) < 0.5 * distance(unstretched, theirs)


@pytest.mark.parametrize("tempo", [0.5, 1.8])
def test_a_voice_keeps_its_pitch(tempo):
    made, _ = stretched(voice(2), tempo)
    pitches = [librosa.yin(wave, fmin=70, fmax=200, sr=RATE, frame_length=1024) for wave in (made, voice(2, tempo))]
    frames = min(map(len, pitches))
    assert np.median(np.abs(pitches[0][:frames] / pitches[1][:frames] - 1)) < 0.01


def test_segments_of_silence_are_not_shifted():
    _, whole = stretched(np.zeros(RATE), 1.5)
    samples = torch.arange(1000, 15_000, 500)[None]
    assert (whole.output_positions(samples) - samples / 1.5).abs().max() <= 160


@pytest.mark.parametrize("tempo", [0.0, -1.0, float("nan")])
def test_an_impossible_tempo_is_refused(tempo):
    with pytest.raises(InputError, match="tempo"):
        stretch(torch.zeros(1, 1600), torch.tensor([tempo]))
