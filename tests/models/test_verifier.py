import hashlib
import importlib.util
import io
import json
import struct
import zipfile
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

from earmark import audio
from earmark.core.audio import AudioError
from earmark.models import verifier as verifier_module
from earmark.models.encoder import load_encoder
from earmark.models.onnx_model import EncoderError, shipped_file
from earmark.models.verifier import Verifier, load_verifier, shipped_verifier
from earmark.spotting.keyword import find_word
from earmark.spotting.takes import TakeLabel
from earmark.spotting.verifier_scores import embed_with_verifier, second_take_scores, similarity

ROOT = Path(__file__).parents[2]
LARGEST_BYTES = 10_000_000


@pytest.fixture(scope="module")
def shipped() -> Verifier:
    return load_verifier()


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    script = ROOT / "recipes" / "models" / "make_verifier.py"
    spec = importlib.util.spec_from_file_location("make_verifier", script)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory, recipe: ModuleType) -> tuple[Any, Path]:
    """A Whisper model with random weights, whose positions are those of two seconds, and its folder."""
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=recipe.WIDTH,
        encoder_layers=recipe.BLOCKS,
        encoder_attention_heads=recipe.HEADS,
        encoder_ffn_dim=4 * recipe.WIDTH,
        decoder_layers=1,
        decoder_attention_heads=recipe.HEADS,
        decoder_ffn_dim=64,
        num_mel_bins=recipe.BANDS,
        max_source_positions=100,
        vocab_size=100,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    model = transformers.WhisperModel(config).eval()
    folder = tmp_path_factory.mktemp("whisper")
    model.save_pretrained(folder)
    return model, folder


def spoken(seconds: float) -> Any:
    return audio.read(Path(str(files("earmark.demo") / "stream.flac")))[: round(16_000 * seconds)]


def run(model: Any, wave: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"wave": wave[None]})[0][0]


@pytest.mark.slow
def test_the_graph_computes_what_transformers_does(whisper: tuple[Any, Path], recipe: ModuleType) -> None:
    import torch
    from transformers import WhisperFeatureExtractor

    model, folder = whisper
    wave, neutral = spoken(2.0), (np.zeros(recipe.WIDTH, np.float32), np.ones(recipe.WIDTH, np.float32))
    tensors = recipe.read_folder(folder)
    graph = recipe.graph_model(tensors, *neutral)
    bands = WhisperFeatureExtractor()(wave, sampling_rate=16_000, return_tensors="pt", padding=False).input_features
    with torch.no_grad():
        expected = model.encoder(bands).last_hidden_state[0].numpy()
    np.testing.assert_allclose(run(graph, wave), expected, atol=0.01)  # convolutions in half precision
    small = run(recipe.quantized(graph), wave)
    assert np.corrcoef(small.ravel(), expected.ravel())[0, 1] > 0.99
    tensors["layer_norm/beta"] = tensors["layer_norm/beta"] + 1
    shifted = recipe.graph_model(tensors, np.full_like(neutral[0], 1.0), np.full_like(neutral[1], 2.0))
    np.testing.assert_allclose(run(shifted, wave), expected / 2, atol=0.01)


def test_a_model_of_ctranslate2_is_read_without_its_decoder(recipe: ModuleType) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    weight = np.arange(6, dtype=np.float16).reshape(2, 3)
    tensors: list[tuple[str, Any]] = [
        ("encoder/conv1/weight", weight),
        ("decoder/weight", weight),
        ("encoder/num_heads", np.int16(6)),
    ]
    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(tensors))
    for name, value in tensors:
        kind = {"float16": 4, "int16": 2}[value.dtype.name]
        shape = struct.pack("<B", value.ndim) + struct.pack(f"<{value.ndim}I", *value.shape)
        content += text(name) + shape + struct.pack("<BI", kind, value.nbytes) + value.tobytes()
    found = recipe.read_tensors(io.BytesIO(content))
    assert list(found) == ["conv1/weight"]
    np.testing.assert_array_equal(found["conv1/weight"], weight)


def test_another_wheel_is_refused(recipe: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "other-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(recipe.MODEL_IN_WHEEL, b"")
    with pytest.raises(SystemExit, match="other-0"):
        recipe.read_wheel(path)


def test_the_shipped_file_is_small_and_the_one_of_the_readme(shipped: Verifier) -> None:
    content = shipped_file("verifier").read_bytes()
    assert len(content) < LARGEST_BYTES
    digest = hashlib.sha256(content).hexdigest()
    assert digest in (ROOT / "src/earmark/models/README.md").read_text(encoding="utf-8")
    assert digest.startswith(shipped.fingerprint)
    assert shipped.card["license"] == "MIT"
    assert "MIT License" in shipped_file("verifier").with_suffix(".LICENSE").read_text(encoding="utf-8")


def test_a_frame_describes_20_ms(shipped: Verifier) -> None:
    assert shipped.hop_s == 0.02
    assert shipped.frames(spoken(1.5)).shape == (75, shipped.dimension)
    assert shipped.frames(spoken(10.0)).shape == (round(shipped.longest_s / 0.02), shipped.dimension)
    assert len(shipped.frames(np.zeros(1, np.float32))) == 5
    with pytest.raises(AudioError):
        shipped.frames(np.full(16_000, np.nan))


def test_frames_are_standardized(shipped: Verifier) -> None:
    frames = np.concatenate([shipped.frames(spoken(20.0)[start : start + 38_400]) for start in (0, 160_000)])
    assert abs(frames.mean()) < 0.2
    assert 0.6 < frames.std() < 1.4


def test_loudness_does_not_count(shipped: Verifier) -> None:
    loud, soft = (shipped.frames(gain * spoken(4.0)) for gain in (1.0, 0.3))
    assert np.corrcoef(loud.ravel(), soft.ravel())[0, 1] > 0.9


def test_takes_of_a_word_resemble_each_other_more_than_other_speech(shipped: Verifier) -> None:
    folder = files("earmark.demo")
    takes = [find_word(Path(str(folder / f"take_{number}.flac")), TakeLabel(number)) for number in range(1, 6)]
    embedded = embed_with_verifier(takes, shipped)
    assert embedded.parts.shape == (5, 7, shipped.dimension)
    assert embedded.fingerprint == shipped.fingerprint
    length_s = float(np.mean([take.end_s - take.start_s for take in takes]))
    lowest = second_take_scores(embedded, length_s).min()
    stream = spoken(30.0)
    # "hey jupiter" is spoken at 3.45 s, other words before 3 s.
    other = similarity(embedded, length_s, shipped, stream[8000:48_000], 0.5, 0.5 + length_s)
    same = similarity(embedded, length_s, shipped, stream[48_000:76_800], 0.45, 1.41)
    assert other < lowest - 0.1
    assert same > other + 0.2


def test_a_missing_file_leaves_the_first_stage_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped_verifier.cache_clear()
    monkeypatch.setattr(verifier_module, "shipped_file", lambda name: tmp_path / f"{name}.onnx")
    assert shipped_verifier() is None
    monkeypatch.undo()
    shipped_verifier.cache_clear()
    assert isinstance(shipped_verifier(), Verifier)


def test_other_models_are_refused() -> None:
    with pytest.raises(EncoderError, match="verifier"):
        load_verifier(shipped_file("speaker"))
    with pytest.raises(EncoderError, match="base"):
        load_encoder(shipped_file("verifier"))
    assert json.loads(json.dumps(load_verifier().card))
