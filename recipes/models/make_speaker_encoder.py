"""Make the shipped speaker encoder from the published weights of Resemblyzer and recordings of many voices.

The network is the GE2E voice encoder (Wan et al. 2018, arXiv 1710.10467) that Corentin Jemine trained; the wheel
`Resemblyzer` (Apache-2.0) carries its weights:

    pip download --no-deps Resemblyzer==0.1.4 && unzip -o Resemblyzer-*.whl resemblyzer/pretrained.pt
    python recipes/models/make_speaker_encoder.py resemblyzer/pretrained.pt ../shared/data

The script writes two files. src/earmark/models/speaker.onnx maps a waveform to a unit embedding.
tests/golden/speaker.npy has the embeddings of `golden_sounds` that librosa's mel bands and torch's LSTM compute.

The encoder differs from the original in three ways. It normalizes every waveform to -30 dBFS, whereas the original only
raises the level of quiet audio; the distance to the microphone should not change the embedding. It repeats audio
shorter than 1.6 s, whereas the original pads with silence. Its last layer is multiplied by a linear discriminant
analysis (Fisher 1936) of single words of many speakers, each without noise and with white and household noise at 3 to
25 dB, so that differences between words and noises of one speaker count less; the original layer is made for clean
sentences.

The thresholds are those of impostors: every second test speaker of speechocean762 and speakers of LibriSpeech, to whom
the analysis was not fitted, with 0.5 to 8 s of speech, clean and in noise. The slope from score to probability uses
held-out words: the analysis is fitted three times, each time without a third of the speakers, who are enrolled with up
to five words each and tested with other words. All corpora have the same weight.
"""

import itertools
import json
import pickletools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import librosa
import numpy as np
import onnx
import onnxruntime
import scipy.linalg
import torch
from numpy.typing import NDArray
from onnx import numpy_helper, parser
from torch import nn

from earmark import audio
from earmark.core.audio import SAMPLE_RATE
from earmark.data.manifest import read_manifest
from earmark.models.impostor_scores import QUIET_DB, ImpostorScores
from earmark.models.speaker_encoder import FORMAT, METADATA_KEY, SpeakerEncoder, load_speaker_encoder
from earmark.spotting.speaker import spoken
from earmark.spotting.speech import find_speech, signal_to_noise_db
from earmark.training.export.onnx_graph import set_card
from earmark.training.export.speaker_calibration import RATES, speaker_calibration

Floats = NDArray[np.float32]

ROOT = Path(__file__).parents[2]
WIDTH, BANDS, LAYERS = 256, 40, 3
WINDOW, HOP = 400, 160  # samples
PARTIAL, STRIDE = 160, 77  # frames of a partial utterance (1.6 s), and from one to the next: 1.3 per second
COVER = 0.75  # share of the last partial utterance that must be audio, not padding
LEVEL = 10 ** (-30 / 20)
FLOOR = 1e-5  # RMS of silence; a lower level is not amplified further
PARITY = 1e-3
MAGIC = 0x1950A86A20F9469CFC6C  # first number in files by torch before 1.6

DIMENSION, SHRINKAGE = 128, 0.1  # of the analysis; chosen on held-out thirds of its speakers
WORDS = {"arabic_commands": 4, "speech_commands_train": 1, "speechocean762": 2}  # corpus: n, to use every n-th clip
MARGIN_S = 0.1
SNR_DB, COPIES = (3, 25), 3  # of each word: one clean, one in white noise, one in household noise
FOLDS, FEWEST = 3, 4

# Impostors: lengths of their speech, of the speech of the enrolled voice in takes of at most so long, and noise.
TEST_S, ENROLLED_S, TAKE_S = (0.5, 1.0, 2.0, 4.0, 8.0), (1.0, 2.5, 8.0), 3.0
TEST_SNR_DB = (20.0, 10.0, 5.0)
VOICES = 62  # of each corpus
PADDING_S = 0.3

CARD = {
    "license": "Apache-2.0",
    "network": "GE2E voice encoder of Resemblyzer 0.1.4 (Apache-2.0, Corentin Jemine): 3 LSTM layers of 256",
    "trained_on": "LibriSpeech-other, VoxCeleb1, VoxCeleb2, as its author's repository says; the wheel does not say",
    "last_layer": {
        "what": "linear discriminant analysis over words and short sections of 1,706 speakers, clean and in noise",
        "data": [
            "Arabic Speech Commands, A. Ghandoura et al., CC BY 4.0: every fourth clip of the training speakers",
            "Google Speech Commands v0.01, P. Warden, CC BY 4.0: bed, cat, happy, without speakers of the test set",
            "speechocean762 (OpenSLR 101), free for any use: every second clip of the training speakers",
            "ESC-10, CC0 and CC BY: every second clip, as noise",
        ],
    },
    "impostors": "62 test speakers of speechocean762 and 62 of LibriSpeech train-clean-100 (CC BY 4.0)",
    "measured": "benchmarks/results/speaker-gate.md",
    "meant_for": "restricting a keyword to one speaker; a convenience, not a lock",
}

# `build` adds the constants and the weights that the graph names.
GRAPH = """
<ir_version: 9, opset_import: ["" : 18]>
speaker (float[1, samples] wave) => (float[1, dimension] embedding) {
    given = Shape (wave)
    n = Gather <axis = 0> (given, one_)

    # Level, over the whole wave.
    power_ = Mul (wave, wave)
    mean_ = ReduceMean <keepdims = 1> (power_)
    rms_ = Sqrt (mean_)
    rms = Max (rms_, floor)
    gain = Div (level, rms)
    even = Mul (wave, gain)

    # Repeat short audio.
    total_ = Max (n, partial)
    total = Squeeze (total_)
    every = Range (zero, total, one)
    wrapped = Mod (every, n)
    full = Gather <axis = 1> (even, wrapped)

    # Number of partial utterances; the last one counts if three quarters of it are audio.
    beyond = Div (total, hop)
    frames = Add (beyond, one)
    steps_ = Sub (frames, spare)
    steps = Max (steps_, one)
    steps_up = Add (steps, more)
    count_all = Div (steps_up, stride)
    last = Sub (count_all, one)
    last_frame = Mul (last, stride)
    last_start = Mul (last_frame, hop)
    left = Sub (total, last_start)
    is_short = Less (left, enough)
    is_short_ = Cast <to = 7> (is_short)
    fewer = Sub (count_all, is_short_)
    count = Max (fewer, one)

    # Pad with silence to the end of the last partial utterance, and with half a window on either side.
    before_last = Sub (count, one)
    end_ = Mul (before_last, stride)
    end_frame = Add (end_, length)
    needed = Mul (end_frame, hop)
    missing_ = Sub (needed, total)
    missing = Max (missing_, zero)
    behind = Add (missing, half)
    behind_ = Reshape (behind, one_)
    padding = Concat <axis = 0> (padding_before, behind_)
    padded = Pad (full, padding)

    # Power spectra by a convolution with windowed waves; mel bands.
    turn = Mul (bins, times)
    phase_ = Mod (turn, period)
    phase = Cast <to = 1> (phase_)
    angle = Mul (phase, step)
    cosine = Cos (angle)
    sine = Sin (angle)
    real_ = Mul (cosine, window)
    imaginary_ = Mul (sine, window)
    real_kernel = Unsqueeze (real_, axis)
    imaginary_kernel = Unsqueeze (imaginary_, axis)
    sound = Unsqueeze (padded, axis)
    real = Conv <strides = [160]> (sound, real_kernel)
    imaginary = Conv <strides = [160]> (sound, imaginary_kernel)
    real_power = Mul (real, real)
    imaginary_power = Mul (imaginary, imaginary)
    power = Add (real_power, imaginary_power)
    bands_first = MatMul (mel, power)
    features_ = Transpose <perm = [0, 2, 1]> (bands_first)
    features = Squeeze (features_, first)

    # Partial utterances, frames first.
    numbers = Range (zero, count, one)
    starts_ = Mul (numbers, stride)
    starts = Unsqueeze (starts_, first)
    within_ = Range (zero, length, one)
    within = Unsqueeze (within_, axis)
    places = Add (starts, within)
    input_0 = Gather <axis = 0> (features, places)

    all_0, final_0, cell_0 = LSTM <hidden_size = 256> (input_0, w_0, r_0, b_0)
    input_1 = Squeeze (all_0, axis)
    all_1, final_1, cell_1 = LSTM <hidden_size = 256> (input_1, w_1, r_1, b_1)
    input_2 = Squeeze (all_1, axis)
    all_2, final_2, cell_2 = LSTM <hidden_size = 256> (input_2, w_2, r_2, b_2)
    hidden = Squeeze (final_2, first)

    # All partial utterances have the same weight in the mean.
    linear = Gemm <transB = 1> (hidden, w_out, b_out)
    norms_ = ReduceL2 <keepdims = 1> (linear, axis)
    norms = Max (norms_, tiny)
    units = Div (linear, norms)
    mean = ReduceMean <keepdims = 1> (units, first)
    norm_ = ReduceL2 <keepdims = 1> (mean, axis)
    norm = Max (norm_, tiny)
    embedding = Div (mean, norm)
}
"""


Layer = tuple[Floats, Floats]  # weights, shape (out, in), and bias, shape (out,)
Operations = list[tuple[str, Any]]  # name and argument of each operation of a pickle

SHAPES: dict[str, tuple[int, ...]] = {"linear.weight": (WIDTH, WIDTH), "linear.bias": (WIDTH,)}
for number in range(LAYERS):
    SHAPES[f"lstm.weight_ih_l{number}"] = (4 * WIDTH, WIDTH if number else BANDS)
    SHAPES[f"lstm.weight_hh_l{number}"] = (4 * WIDTH, WIDTH)
    SHAPES[f"lstm.bias_ih_l{number}"] = SHAPES[f"lstm.bias_hh_l{number}"] = (4 * WIDTH,)


def read_weights(path: Path) -> dict[str, Floats]:
    """Read the network's weights, which have the names and shapes in `SHAPES`, without executing the file's pickles.

    Before 1.6, torch wrote a file as five pickles (a magic number, the version, the machine, the tensors, the keys of
    the storages), followed by the storages. Each storage is the number of its values, and the values in single
    precision.

    Raises:
        SystemExit: the file has another layout or contains another network.
    """
    try:
        with path.open("rb") as file:
            magic, _, _, tensors, keys = (_read_pickle(file) for _ in range(5))
            if ("LONG1", MAGIC) not in magic:
                raise ValueError
            storages = {key: _read_storage(file) for name, key in keys if name == "BINUNICODE"}
        return {
            name: storages[key][start : start + np.prod(SHAPES[name])].reshape(SHAPES[name])
            for name, (key, start) in _places(tensors).items()
        }
    except (ValueError, KeyError):
        sys.exit(f"{path}: not the weights of Resemblyzer 0.1.4; extract pretrained.pt from its wheel")


def _read_pickle(file: BinaryIO) -> Operations:
    return [(code.name, value) for code, value, _ in pickletools.genops(file)]


def _read_storage(file: BinaryIO) -> Floats:
    count = int.from_bytes(file.read(8), "little", signed=True)
    return np.frombuffer(file.read(4 * count), "<f4", count).astype(np.float32)


def _places(operations: Operations) -> dict[str, tuple[str, int]]:
    """Find the storage of each tensor in `SHAPES`, and the index of the tensor's first value in the storage.

    A pickle describes a tensor by its name, its storage (type, key, device, size), its start in the storage, its shape
    and its strides, and ends with False.
    """
    words: list[str] = [""]
    numbers: list[int] = []
    places = {}
    for operation, value in operations:
        if operation == "BINUNICODE" and value not in ("storage", "cpu", "cuda:0"):
            words.append(value)
        elif operation == "BINPERSID":
            numbers = []
        elif operation.startswith("BININT"):
            numbers.append(value)
        elif operation == "NEWFALSE" and words[-2] in SHAPES:
            name, key = words[-2:]
            start, *shape = numbers
            if tuple(shape) != SHAPES[name] + (*SHAPES[name][1:], 1):  # strides of contiguous rows
                raise ValueError
            places[name] = key, start
    if places.keys() != SHAPES.keys():
        raise ValueError
    return places


def build(state: dict[str, Floats], layer: Layer) -> onnx.ModelProto:
    """Build the graph; its weights are stored in half precision."""
    model = parser.parse_model(GRAPH)
    small = {
        "level": np.float32(LEVEL),
        "floor": np.float32(FLOOR),
        "tiny": np.float32(1e-9),
        "zero": 0,
        "one": 1,
        "one_": [1],
        "first": [0],
        "axis": [1],
        "hop": HOP,
        "partial": [PARTIAL * HOP],
        "length": PARTIAL,
        "stride": STRIDE,
        "more": STRIDE - 1,
        "spare": PARTIAL - STRIDE - 1,
        "enough": round(COVER * PARTIAL * HOP),
        "half": WINDOW // 2,
        "padding_before": [0, WINDOW // 2, 0],
        "period": WINDOW,
        "step": np.float32(2 * np.pi / WINDOW),
        "bins": np.arange(WINDOW // 2 + 1)[:, None],
        "times": np.arange(WINDOW)[None],
        "window": torch.hann_window(WINDOW).numpy(),
        "mel": librosa.filters.mel(sr=16_000, n_fft=WINDOW, n_mels=BANDS).astype(np.float32),
    }
    large = dict(zip(("w_out", "b_out"), layer, strict=True))
    for number in range(LAYERS):
        inwards, inside = state[f"lstm.weight_ih_l{number}"], state[f"lstm.weight_hh_l{number}"]
        biases = state[f"lstm.bias_ih_l{number}"], state[f"lstm.bias_hh_l{number}"]
        large[f"w_{number}"] = _gates(inwards)[None]
        large[f"r_{number}"] = _gates(inside)[None]
        large[f"b_{number}"] = np.concatenate([_gates(bias) for bias in biases])[None]
    for name, value in small.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    casts = []
    for name, value in large.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def _gates(weights: Floats) -> Floats:
    """Reorder the gates of an LSTM from torch's input, forget, cell, output to ONNX's input, output, forget, cell."""
    enter, forget, cell, leave = weights.reshape(4, WIDTH, -1)
    return np.concatenate([enter, leave, forget, cell]).reshape(weights.shape)


def reference(state: dict[str, Floats], layer: Layer, wave: Floats) -> Floats:
    """Compute the embedding with librosa's mel bands and torch's LSTM in full precision; shape (dimension,)."""
    lstm = nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
    lstm.load_state_dict(
        {name[5:]: torch.from_numpy(value) for name, value in state.items() if name.startswith("lstm.")}
    )
    wave = wave * LEVEL / max(FLOOR, float(np.sqrt(np.mean(wave.astype(np.float64) ** 2))))
    size = PARTIAL * HOP
    if len(wave) < size:
        wave = np.resize(wave, size)
    frames = -(-(len(wave) + 1) // HOP)
    starts = list(range(0, max(1, frames - PARTIAL + STRIDE + 1), STRIDE))
    if len(starts) > 1 and len(wave) - starts[-1] * HOP < COVER * size:
        del starts[-1]
    padded = np.pad(wave, (0, max(0, (starts[-1] + PARTIAL) * HOP - len(wave))))
    mel = librosa.feature.melspectrogram(y=padded, sr=16_000, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS)
    partials = torch.from_numpy(np.stack([mel.T[start : start + PARTIAL] for start in starts]).astype(np.float32))
    with torch.inference_mode():
        _, (hidden, _) = lstm(partials)
        units = nn.functional.normalize(nn.functional.linear(hidden[-1], *map(torch.from_numpy, layer)), dim=1)
        return nn.functional.normalize(units.mean(dim=0), dim=0).numpy()


def golden_sounds() -> list[Floats]:
    """Synthesize reproducible vowel-like waves of several lengths and levels, each of shape (n,)."""
    sounds = []
    for seed, (seconds, pitch_hz, level) in enumerate(
        [(0.4, 210, 0.05), (0.9, 110, 0.3), (1.6, 160, 0.01), (2.3, 240, 0.1), (2.8, 95, 0.2), (5.0, 130, 0.1)]
    ):
        generator = np.random.default_rng(seed)
        time_s = np.arange(round(seconds * 16_000)) / 16_000
        phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 3 * time_s))) / 16_000
        formant_hz = 900 + 500 * np.sin(2 * np.pi * 1.7 * time_s + seed)
        overtones = [
            np.exp(-(((pitch_hz * k - formant_hz) / 700) ** 2)) * np.sin(k * phase) / np.sqrt(k) for k in range(1, 25)
        ]
        wave = np.sum(overtones, axis=0) + 0.01 * generator.standard_normal(len(time_s))
        sounds.append((level * wave / np.abs(wave).max()).astype(np.float32))
    return sounds


def household_noises(folder: Path) -> list[Floats]:
    """Every second clip of ESC-10; the others are left for benchmarks."""
    clips = sorted(read_manifest(folder / "noise_esc10" / "manifest.tsv"), key=lambda clip: clip.path)[::2]
    waves = [audio.read(folder / "noise_esc10" / clip.path) for clip in clips]
    return [wave for wave in waves if np.abs(wave).max() > 0]


def white_noise(generator: np.random.Generator, length: int) -> Floats:
    """White noise, shape (length,)."""
    return generator.standard_normal(length, np.float32)


def section(noises: list[Floats], generator: np.random.Generator, length: int) -> Floats:
    """A random section of one of some noises that is not silent, shape (length,)."""
    while True:
        wave = noises[generator.integers(len(noises))]
        wave = np.resize(wave, max(len(wave), length))
        start = generator.integers(len(wave) - length + 1)
        if np.abs(wave[start : start + length]).max() > FLOOR:
            return wave[start : start + length]


def mixed(wave: Floats, noise: Floats, snr_db: float, level: float) -> Floats:
    """A wave with noise at `snr_db` below `level`, the root mean square of its speech."""
    gain = level * 10 ** (-snr_db / 20) / max(FLOOR, float(np.sqrt(np.mean(noise**2))))
    return (wave + gain * noise).astype(np.float32)


def rms(wave: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def noisy_words(folder: Path) -> Iterator[tuple[str, Floats]]:
    """Yield each of `words` clean, in white noise and in household noise."""
    generator, noises = np.random.default_rng(0), household_noises(folder)
    for speaker, wave in words(folder):
        yield speaker, wave
        for noise in (white_noise(generator, len(wave)), section(noises, generator, len(wave))):
            yield speaker, mixed(wave, noise, generator.uniform(*SNR_DB), rms(wave))


def words(folder: Path) -> Iterator[tuple[str, Floats]]:
    """Yield the speaker of each clip, and its loudest section of speech, at most 1.6 s long."""
    for corpus, every in WORDS.items():
        clips = [clip for clip in read_manifest(folder / corpus / "manifest.tsv") if clip.split == "train"][::every]
        for clip in clips:
            wave = audio.read(folder / corpus / clip.path)
            found = find_speech(wave)
            if found is not None:
                start, stop = (round(time_s * SAMPLE_RATE) for time_s in (found[0] - MARGIN_S, found[1] + MARGIN_S))
                wave = wave[max(0, start) : stop]
                spare = max(0, len(wave) - PARTIAL * HOP)
                yield f"{corpus}/{clip.speaker}", wave[spare // 2 : len(wave) - (spare - spare // 2)]


def impostor_calibration(encoder: SpeakerEncoder, folder: Path) -> dict[str, Any]:
    """Score voices against the prototypes of other voices of their corpus; return entries of the calibration."""
    generator, noises = np.random.default_rng(0), household_noises(folder)
    rows = [found for speeches in voices(folder) for found in impostor_rows(encoder, speeches, noises, generator)]
    conditions = np.concatenate(rows, axis=1)
    scores = ImpostorScores.fit(*conditions)
    quiet = conditions[3] >= QUIET_DB
    thresholds = np.quantile(scores.normalized(*conditions)[quiet], [1 - rate for rate in RATES])
    return {
        "false_accepts": list(RATES),
        "threshold": thresholds.round(3).tolist(),
        "impostors": scores.to_card(),
        "speakers": 2 * VOICES,
        "how": "speech of 0.5 to 8 s of every second test speaker of speechocean762 and of speakers of LibriSpeech, "
        "against other voices of the corpus, enrolled with 1 to 8 s",
    }


def impostor_rows(
    encoder: SpeakerEncoder, speeches: list[Floats], noises: list[Floats], generator: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield cosine, tested speech (s), enrolled speech (s) and ratio to noise (dB) of the impostors of one test."""
    prototypes, enrolled = [], []
    for number, speech in enumerate(speeches):
        for length_s in ENROLLED_S:
            takes = np.array_split(speech[: round(length_s * SAMPLE_RATE)], int(-(-length_s // TAKE_S)))
            prototypes.append(encoder.embed_batch(takes).mean(axis=0))
            enrolled.append((number, length_s))
    references = np.stack(prototypes)
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    owners, enrolled_s = np.array(enrolled).T
    for number, speech in enumerate(speeches):
        for wave, length_s, snr_db in impostor_tests(speech, noises, generator):
            cosines = (references @ encoder.embed(wave))[owners != number]
            yield np.stack(np.broadcast_arrays(cosines, length_s, enrolled_s[owners != number], snr_db))


def voices(folder: Path) -> Iterator[list[Floats]]:
    """Yield 16 s of speech of each of some voices, of one corpus at a time."""
    for corpus, split in (("speechocean762", "test"), ("librispeech_one_each", "train")):
        by_speaker: dict[str, list[Path]] = {}
        for clip in sorted(read_manifest(folder / corpus / "manifest.tsv"), key=lambda clip: clip.path):
            if clip.split == split:
                by_speaker.setdefault(clip.speaker, []).append(folder / corpus / clip.path)
        length, speeches = round(2 * TEST_S[-1] * SAMPLE_RATE), []
        for speaker in sorted(by_speaker)[::2]:
            speech = np.concatenate([spoken(audio.read(path)) for path in by_speaker[speaker][:10]])[:length]
            if len(speech) >= 0.75 * length:
                speeches.append(speech)
        yield speeches[:VOICES]


def impostor_tests(
    speech: Floats, noises: list[Floats], generator: np.random.Generator
) -> Iterator[tuple[Floats, float, float]]:
    """Yield what the gate embeds of sections of speech, clean and in noise, with its length (s) and ratio to noise."""
    for length_s in TEST_S:
        start = generator.integers(len(speech) - round(length_s * SAMPLE_RATE) + 1)
        cut = speech[start : start + round(length_s * SAMPLE_RATE)]
        wave = np.pad(cut, round(PADDING_S * SAMPLE_RATE))
        quiet = mixed(wave, white_noise(generator, len(wave)), 45.0, rms(cut))
        kinds = itertools.cycle((white_noise(generator, len(wave)), section(noises, generator, len(wave))))
        noisy = [mixed(quiet, noise, snr_db, rms(cut)) for snr_db, noise in zip(TEST_SNR_DB, kinds, strict=False)]
        for heard in (quiet, *noisy):
            found = spoken(heard)
            found = found if len(found) else heard
            snr = signal_to_noise_db(heard)
            yield found, len(found) / SAMPLE_RATE, np.inf if snr is None else snr


def hidden_states(model: onnx.ModelProto, waves: list[Floats]) -> Floats:
    """Compute the final hidden state of the last LSTM layer for waves of at most 1.6 s, shape (n, 256)."""
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    del inner.graph.output[:]
    inner.graph.output.append(onnx.helper.make_tensor_value_info("hidden", onnx.TensorProto.FLOAT, ["n", WIDTH]))
    session = onnxruntime.InferenceSession(inner.SerializeToString())
    return np.concatenate([session.run(None, {"wave": wave[None]})[0] for wave in waves])


def analyze(points: NDArray[np.float64], speakers: NDArray[np.str_]) -> Layer:
    """Fit a linear discriminant analysis: directions with the largest variance between speakers over that within.

    Args:
        points: shape (n, d).
        speakers: speaker of each point, shape (n,).
    """
    _, number, count = np.unique(speakers, return_inverse=True, return_counts=True)
    means = np.zeros((len(count), points.shape[1]))
    np.add.at(means, number, points)
    means /= count[:, None]
    center = points.mean(axis=0)
    within = np.cov((points - means[number]).T, bias=True)
    between = np.cov(means.T, fweights=count, bias=True)
    even = np.eye(len(within)) * np.trace(within) / len(within)
    _, directions = scipy.linalg.eigh(between, (1 - SHRINKAGE) * within + SHRINKAGE * even)
    weights = directions[:, ::-1][:, :DIMENSION].T
    return weights.astype(np.float32), (-weights @ center).astype(np.float32)


def fitted_slope(points: NDArray[np.float64], speakers: NDArray[np.str_]) -> float:
    """Slope from score to probability, for words of speakers that the analysis was not fitted to."""
    every = np.unique(speakers)
    corpus = np.array([name.split("/")[0] for name in speakers])
    groups = []
    for fold in range(FOLDS):
        held = np.isin(speakers, every[fold::FOLDS])
        weights, bias = analyze(points[~held], speakers[~held])
        units = points @ weights.T + bias
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        clean = held & (np.arange(len(points)) % COPIES == 0)
        groups += [(units[chosen], speakers[chosen]) for name in WORDS if (chosen := clean & (corpus == name)).any()]
    return speaker_calibration(groups, fewest=FEWEST).slope


def main() -> None:
    """Make the encoder from the weights and the recordings that the command line names."""
    state = read_weights(Path(sys.argv[1]))
    published = state["linear.weight"], state["linear.bias"]
    names, waves = zip(*noisy_words(Path(sys.argv[2])), strict=True)
    hidden = hidden_states(build(state, published), list(waves)).astype(np.float64)
    points, speakers = hidden @ published[0].T + published[1], np.array(names)
    weights, bias = analyze(points, speakers)
    layer = weights @ published[0], weights @ published[1] + bias
    # Scale the layer for half precision; embeddings are normalized, so that its scale has no effect.
    scale = np.abs(layer[0]).max()
    layer = layer[0] / scale, layer[1] / scale
    description = {
        "format": FORMAT,
        "kind": "speaker",
        "name": "speaker",
        "sample_rate": SAMPLE_RATE,
        "samples": None,
        "dimension": DIMENSION,
        "card": CARD,
    }
    model = build(state, layer)
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(description))
    out = ROOT / "src" / "earmark" / "models" / "speaker.onnx"
    onnx.save(model, str(out))
    calibration = impostor_calibration(load_speaker_encoder(out), Path(sys.argv[2]))
    set_card(out, {"calibration": calibration | {"slope": fitted_slope(points, speakers)}})
    encoder = load_speaker_encoder(out)
    golden = np.stack([reference(state, layer, wave) for wave in golden_sounds()])
    difference = float(np.abs(encoder.embed_batch(golden_sounds()) - golden).max())
    print(f"{out}: {out.stat().st_size:,} bytes, fingerprint {encoder.fingerprint}, parity {difference:.1e}")
    print(f"{len(points)} words of {len(np.unique(speakers))} speakers; {encoder.calibration}")
    if difference > PARITY:
        sys.exit(f"the graph differs from the reference by {difference:.1e} (> {PARITY:g})")
    np.save(ROOT / "tests" / "golden" / "speaker.npy", golden)


if __name__ == "__main__":
    main()
