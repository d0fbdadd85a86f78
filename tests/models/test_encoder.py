import json
from importlib.resources import files

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.core.audio import AudioError
from earmark.core.errors import EarmarkError
from earmark.models.encoder import METADATA_KEY, SHIPPED, EncoderError, load_encoder

HOP = 640
NAMES = ["little", *(name for name in SHIPPED if (files("earmark") / "models" / f"{name}.onnx").is_file())]


@pytest.fixture(scope="session")
def little_file(tmp_path_factory):
    """An encoder with a small untrained network, as `earmark export` writes it."""
    import torch

    from earmark.training.export.encoder import export
    from earmark.training.run.checkpoint import Checkpoint, save_checkpoint
    from earmark.training.words.recipe import parse_recipe

    folder = tmp_path_factory.mktemp("little")
    shape = {"widths": [4, 4, 6, 8, 8], "hidden": 12, "dimension": 8, "parts": 2}
    table = {"name": "little", "data": {"folder": "d", "words": [{"manifest": "m.tsv"}]}, "encoder": shape}
    recipe = parse_recipe(table, folder, "recipe")
    torch.manual_seed(0)
    model = recipe.encoder.build().train()
    # Normalization that has seen sound: else all frames would be nearly the same, and no mistake in time would show.
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    sound = torch.from_numpy(noise(4)).reshape(2, -1)
    model.head.fit_scale(model.tower_frames(sound).detach().flatten(0, 1))
    model.eval()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    save_checkpoint(folder / "a.safetensors", Checkpoint(json.loads(recipe.model_dump_json()), 1, {}, tensors))
    export(folder / "a.safetensors", folder / "little.onnx")
    return folder / "little.onnx"


@pytest.fixture(scope="session")
def encoders(little_file):
    """The small encoder, and those that ship where they are there."""
    return {name: load_encoder(little_file if name == "little" else name) for name in NAMES}


@pytest.fixture(params=NAMES)
def encoder(request, encoders):
    return encoders[request.param]


def noise(seconds, seed=0):
    """Noise that swells and fades, so that no two instants are alike."""
    wave = np.random.default_rng(seed).standard_normal(round(seconds * 16_000))
    return (0.1 * wave * (1.1 + np.sin(np.arange(len(wave)) / 1500))).astype(np.float32)


def apart(one, other):
    return np.abs(one - other).max(initial=0) / np.abs(other).max()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(
    lengths=st.lists(st.sampled_from([1, 7, 160, 639, 640, 641, 1280, 5000]), max_size=12),
    size=st.integers(1, 40_000),
    seed=st.integers(0, 99),
)
def test_a_stream_gives_the_frames_of_the_whole_however_it_is_cut(encoders, name, lengths, size, seed):
    wave = noise(2.5, seed)[:size]
    stream = encoders[name].stream()
    cuts = np.cumsum(lengths)[np.cumsum(lengths) < size] if lengths else []
    chunks = np.split(wave, np.asarray(cuts, int))
    streamed = np.concatenate([*(stream.push(chunk) for chunk in chunks), stream.finish()])
    whole = encoders[name].frames(wave)
    assert whole.shape == streamed.shape == (-(-size // HOP), encoders[name].dimension)
    assert apart(streamed, whole) < 1e-4


def test_sample_by_sample_it_is_still_the_same(encoders):
    wave = noise(0.2)
    stream = encoders["little"].stream()
    streamed = np.concatenate([*(stream.push(wave[i : i + 1]) for i in range(len(wave))), stream.finish()])
    assert apart(streamed, encoders["little"].frames(wave)) < 1e-4


def test_a_recording_longer_than_a_block_gives_the_same_frames(encoders):
    wave = noise(19.3)
    stream = encoders["little"].stream()
    streamed = np.concatenate([*(stream.push(chunk) for chunk in np.array_split(wave, 30)), stream.finish()])
    assert apart(streamed, encoders["little"].frames(wave)) < 1e-4


def test_an_empty_chunk_changes_nothing(encoder):
    wave, stream = noise(1), encoder.stream()
    pieces = [stream.push(part) for half in np.split(wave, 2) for part in (half, np.zeros(0, np.float32))]
    assert pieces[1].shape == pieces[3].shape == (0, encoder.dimension)
    assert apart(np.concatenate([*pieces, stream.finish()]), encoder.frames(wave)) < 1e-4


def test_a_frame_is_returned_after_its_lag(encoder):
    lag = round(encoder.lag_s / encoder.hop_s - 0.5)
    stream, wave = encoder.stream(), noise(2)
    count = 0
    for number in range(50):
        count += len(stream.push(wave[number * HOP : (number + 1) * HOP]))
        assert count == max(0, number + 1 - lag)
    assert 0.3 < encoder.lag_s < 0.6


def test_a_click_changes_the_frames_whose_reach_covers_it_and_those_around_it_most(encoder):
    wave = noise(4)
    before = encoder.frames(wave)
    instant_s = (np.arange(len(before)) + 0.5) * encoder.hop_s
    off_s = []
    for second in (1.0, 1.31, 1.6, 1.85, 2.13, 2.5):
        clicked = wave.copy()
        at = round(second * 16_000)
        clicked[at : at + 160] += 0.5
        difference = np.linalg.norm(encoder.frames(clicked) - before, axis=1)
        changed_s = instant_s[difference > 1e-3 * difference.max()]
        assert changed_s.min() > second - encoder.lag_s - encoder.hop_s
        assert changed_s.max() < second + 0.01 + encoder.lag_s + encoder.hop_s
        off_s.append(np.average(instant_s, weights=difference**2) - (second + 0.005))
    # A trained network may lean a little to what comes before or after.
    assert np.mean(off_s) == pytest.approx(0, abs=0.15)


def test_a_recording_follows_silence(encoder):
    wave = noise(1)
    padded = encoder.frames(np.concatenate([np.zeros(20 * HOP, np.float32), wave]))[20:]
    assert apart(padded, encoder.frames(wave)) < 1e-4


def test_an_embedding_is_a_unit_vector(encoder):
    waves = [noise(seconds, seed) for seed, seconds in enumerate((0.01, 0.3, 0.7, 2.0))]
    embeddings = encoder.embed_batch(waves)
    assert embeddings.shape == (4, encoder.dimension)
    assert embeddings.dtype == np.float32
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert np.array_equal(embeddings[1], encoder.embed(waves[1]))
    assert encoder.embed_batch([]).shape == (0, encoder.dimension)


def test_an_embedding_is_the_direction_of_the_sum_of_its_frames(encoders):
    frames = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    embedded = encoders["little"].embed_windows(frames, [10, 30, 4], np.array([6, 12, 8]))
    # Of two parts, the first gives its half of the columns; what would lie before the first frame is cut off.
    halves = [((4, 7), (7, 10)), ((18, 24), (24, 30)), ((0, 0), (0, 4))]
    for row, ((a, b), (c, d)) in zip(embedded, halves, strict=True):
        total = np.concatenate([frames[a:b, :4].sum(axis=0), frames[c:d, 4:].sum(axis=0)])
        assert row == pytest.approx(total / np.linalg.norm(total), abs=1e-5)


def test_compared_windows_are_embedded_windows(encoders):
    generator = np.random.default_rng(0)
    frames = generator.standard_normal((40, 8)).astype(np.float32)
    stops = generator.integers(1, 41, (3, 5, 2))
    starts = stops - generator.integers(2, 15, stops.shape)  # some begin before the first frame
    references = generator.standard_normal((3, 8, 2)).astype(np.float32)
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    compared = encoders["little"].compare_windows(frames, starts, stops, references)
    for place in np.ndindex(compared.shape):
        which, _, column = place
        embedded = encoders["little"].embed_windows(frames, [stops[place]], stops[place] - starts[place])[0]
        assert compared[place] == pytest.approx(embedded @ references[which, :, column], abs=1e-5)


def test_samples_of_other_types_are_the_same_audio(encoders):
    wave = np.round(noise(1) * 32768).clip(-32768, 32767)
    as_float = encoders["little"].embed((wave / 32768).astype(np.float64))
    assert np.allclose(encoders["little"].embed(wave.astype(np.int16)), as_float, atol=1e-6)


@pytest.mark.parametrize("wave", [np.zeros((2, 100)), np.full(1000, np.nan), ["word"]], ids=["stereo", "nan", "text"])
def test_other_things_than_audio_are_refused(encoders, wave):
    with pytest.raises(AudioError):
        encoders["little"].frames(wave)
    with pytest.raises(AudioError):
        encoders["little"].stream().push(wave)


def test_an_empty_wave_has_no_embedding(encoders):
    with pytest.raises(AudioError, match="empty"):
        encoders["little"].embed([])


def test_the_fingerprint_is_that_of_the_file(encoders, little_file):
    assert load_encoder(str(little_file)).fingerprint == encoders["little"].fingerprint
    assert len(encoders["little"].fingerprint) == 16
    assert "little" in repr(encoders["little"])


def _other_model(path):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([node], "other", [x], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), str(path))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda _: None, "no such encoder"),
        (lambda path: path.mkdir(), "no such encoder"),
        (lambda path: path.write_bytes(b""), "not an ONNX file that runs here"),
        (lambda path: path.write_text("this is no network\n" * 50), "not an ONNX file that runs here"),
        (_other_model, "an ONNX file, but not an encoder"),
    ],
    ids=["absent", "folder", "empty", "text", "another model"],
)
def test_other_files_are_refused_in_one_line(tmp_path, write, message, raises_one_line):
    path = tmp_path / "some.onnx"
    write(path)
    with raises_one_line(EncoderError, f"{path}: {message}"):
        load_encoder(path)


def test_a_file_of_a_later_format_asks_for_an_update(little_file, tmp_path):
    graph = onnx.load(str(little_file))
    (entry,) = [entry for entry in graph.metadata_props if entry.key == METADATA_KEY]
    entry.value = json.dumps(json.loads(entry.value) | {"format": 99})
    onnx.save(graph, str(tmp_path / "new.onnx"))
    with pytest.raises(EarmarkError, match=r"made for a newer earmark \(format 99\); update earmark"):
        load_encoder(tmp_path / "new.onnx")


def test_the_frames_of_the_small_encoder_differ_enough_for_these_tests(encoders):
    frames = encoders["little"].frames(noise(2.5))
    assert apart(frames[1:], frames[:-1]) > 0.1


def test_a_checkpoint_is_refused_with_the_command_that_converts_it(tmp_path):
    (tmp_path / "best.safetensors").write_bytes(b"x")
    with pytest.raises(EncoderError, match=r"best\.safetensors: .*earmark export"):
        load_encoder(tmp_path / "best.safetensors")
