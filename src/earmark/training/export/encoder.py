"""From a checkpoint to one ONNX file: the streaming graph, its model card, and a proof that both compute the same."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from earmark.core.errors import EarmarkError, InputError
from earmark.core.numbers import finite
from earmark.models.encoder import FORMAT, METADATA_KEY, Encoder, load_encoder
from earmark.training.nn.encoders import FrameEncoder, StreamSettings
from earmark.training.nn.stream_state import StreamState
from earmark.training.recipe import check_any_recipe, portable
from earmark.training.run.checkpoint import Checkpoint, fill, load_checkpoint, under

OPSET = 18
PARITY = 1e-4


class _Step(nn.Module):
    """One step of a stream with its state as plain inputs and outputs."""

    def __init__(self, model: FrameEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, wave: Tensor, *before: Tensor) -> tuple[Tensor, ...]:
        state = StreamState(list(before))
        return self.model(wave, state), *state.after


def export(checkpoint: Path, out: Path, *, card: dict[str, Any] | None = None) -> Encoder:
    """Write an encoder that runs without torch.

    Args:
        checkpoint: a checkpoint of ``earmark train``.
        out: the .onnx file; it is complete and checked, or not there.
        card: what the model card says beside recipe, step and validation.

    Raises:
        InputError: the checkpoint is of an encoder of clips, which cannot listen to a stream.
        EarmarkError: the exported graph computes other numbers than the checkpoint.
    """
    state = load_checkpoint(checkpoint)
    model = load_model(state)
    with new_graph(out, _graph(model), describe(model, state, card or {})) as partial:
        check_parity(model, load_encoder(partial))
    return load_encoder(out)


@contextmanager
def new_graph(out: Path, graph: onnx.ModelProto, description: dict[str, Any]) -> Iterator[Path]:
    """A file of a graph with what the runtime must know of it, to check; it gets its name when nothing is wrong."""
    graph.metadata_props.add(key=METADATA_KEY, value=json.dumps(finite(description), allow_nan=False))
    partial = out.with_suffix(".partial.onnx")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        onnx.save(graph, str(partial))
        yield partial
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def load_model(state: Checkpoint) -> FrameEncoder:
    """The encoder of streams of a checkpoint, ready to run on the CPU."""
    recipe = check_any_recipe(state.recipe, "the checkpoint")
    if not isinstance(recipe.encoder, StreamSettings):
        what = "segments alone" if recipe.kind == "sequences" else "clips of one length"
        raise InputError(
            f"{recipe.name}: {recipe.encoder.kind} embeds {what} and has no form for streams; "
            "judge its checkpoint with earmark evaluate --encoder"
        )
    model = recipe.encoder.build()
    fill(model, under(state.tensors, "model."))
    return model.eval()


def describe(model: FrameEncoder, state: Checkpoint, card: dict[str, Any]) -> dict[str, Any]:
    """What the runtime must know of the graph, and the model card."""
    recipe = check_any_recipe(state.recipe, "the checkpoint")
    return {
        "format": FORMAT,
        "name": recipe.name,
        "sample_rate": model.frontend.rate_hz,
        "hop": model.hop,
        "lag": model.lag,
        "dimension": model.settings.dimension,
        "parts": model.settings.parts,
        "card": {"step": state.step, "validation": state.metrics, "recipe": portable(recipe)} | card,
    }


def set_card(path: Path, additions: dict[str, Any]) -> None:
    """Add to the model card of an exported encoder, in one step."""
    graph = onnx.load(str(path))
    (entry,) = [entry for entry in graph.metadata_props if entry.key == METADATA_KEY]
    description = json.loads(entry.value)
    description["card"] |= additions
    graph.metadata_props.remove(entry)
    with new_graph(path, graph, description):
        pass


def check_parity(model: FrameEncoder, encoder: Encoder) -> float:
    """Largest difference between torch over a whole wave and the runtime over its chunks.

    Raises:
        EarmarkError: it is above 1e-4.
    """
    generator = np.random.default_rng(0)
    wave = (0.1 * generator.standard_normal(3 * encoder.sample_rate)).astype(np.float32)
    wave[encoder.sample_rate : 2 * encoder.sample_rate] *= 0.01
    stream = encoder.stream()
    chunks = np.split(wave, np.sort(generator.integers(0, len(wave), 40)))
    streamed = np.concatenate([*(stream.push(chunk) for chunk in chunks), stream.finish()])
    with torch.inference_mode():
        # The wave with silence enough on either side; frame 0 describes its first instant.
        before = model.lag * model.hop + 2 * model.frontend.rate_hz
        whole = torch.from_numpy(np.concatenate([np.zeros(before), wave, np.zeros(before)]).astype(np.float32))
        state = StreamState()
        offline = model(whole[None, : len(whole) // model.hop * model.hop], state)[0].numpy()
    first = before // model.hop + model.lag
    reference = offline[first : first + len(streamed)]
    difference = float(np.abs(streamed - reference).max() / np.abs(reference).max())
    if not difference <= PARITY:
        raise EarmarkError(
            f"{encoder.name}: the exported graph differs from the checkpoint by {difference:.1e} (> {PARITY:g})"
        )
    return difference


def _graph(model: FrameEncoder) -> onnx.ModelProto:
    step = _Step(model).eval()
    wave = torch.zeros(1, 2 * model.hop)
    state = StreamState()
    with torch.inference_mode():
        model(wave, state)
    before = [torch.zeros_like(tensor) for tensor in state.after]
    names = [f"memory_{number}" for number in range(len(before))]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "graph.onnx"
        # torch would rather export through torch.export, which takes 5 to 30 s for the same graph; this takes half a
        # second.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx|earmark\.training\.export")
        torch.onnx.export(
            step,
            (wave, *before),
            path,
            input_names=["wave", *names],
            output_names=["frames", *(f"{name}_after" for name in names)],
            dynamic_axes={"wave": {1: "samples"}, "frames": {1: "frames"}},
            opset_version=OPSET,
            dynamo=False,
        )
        graph: onnx.ModelProto = onnx.load(str(path))
    # Where each node came from in our code, of no use in the file.
    for node in graph.graph.node:
        node.doc_string = ""
    return graph
