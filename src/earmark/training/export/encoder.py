"""Export of a checkpoint to a streaming encoder: an ONNX file with a model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.models.encoder import FORMAT, Encoder, load_encoder
from earmark.training.export.onnx_graph import TOLERANCE, atomic_graph, check_difference, model_card, trace
from earmark.training.nn.encoders import FrameEncoder, StreamSettings
from earmark.training.nn.stream_state import StreamState
from earmark.training.recipe import check_any_recipe, portable
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, load_weights, strip_prefix


class _StreamStep(nn.Module):
    """One step of a stream encoder, with the stream state as inputs and outputs of the graph."""

    def __init__(self, model: FrameEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, wave: Tensor, *before: Tensor) -> tuple[Tensor, ...]:
        state = StreamState(list(before))
        return self.model(wave, state), *state.after


def export(
    checkpoint: Path, out: Path, *, card: Mapping[str, Any] | None = None, tolerance: float = TOLERANCE
) -> Encoder:
    """Export a checkpoint to an encoder that runs without torch.

    Args:
        checkpoint: a checkpoint of ``earmark train``.
        out: the .onnx file, written atomically after the check.
        card: additional entries of the model card.
        tolerance: maximum relative difference between the outputs of checkpoint and graph.

    Raises:
        InputError: the encoder of the checkpoint does not run on streams.
        EarmarkError: the graph differs from the checkpoint.
    """
    state = load_checkpoint(checkpoint)
    model = load_model(state)
    with atomic_graph(out, _graph(model), describe(model, state, card)) as draft:
        check_parity(model, load_encoder(draft), tolerance)
    return load_encoder(out)


def load_model(state: Checkpoint) -> FrameEncoder:
    """Build the stream encoder of a checkpoint, in evaluation mode on the CPU.

    Raises:
        InputError: the encoder of the checkpoint does not run on streams.
    """
    recipe = check_any_recipe(state.recipe, "the checkpoint")
    if not isinstance(recipe.encoder, StreamSettings):
        what = "segments" if recipe.kind == "sequences" else "clips of one length"
        raise InputError(
            f"{recipe.name}: an encoder of kind {recipe.encoder.kind} embeds {what}, not streams, so it cannot be "
            "exported; evaluate its checkpoint with earmark evaluate"
        )
    model = recipe.encoder.build()
    load_weights(model, strip_prefix(state.tensors, "model."))
    return model.eval()


def describe(model: FrameEncoder, state: Checkpoint, card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Collect the metadata that an exported encoder needs to run: name, rates, sizes, and its model card.

    Args:
        model: the encoder.
        state: the checkpoint of the encoder.
        card: additional entries of the model card.
    """
    recipe = check_any_recipe(state.recipe, "the checkpoint")
    return {
        "format": FORMAT,
        "name": recipe.name,
        "sample_rate": model.frontend.rate_hz,
        "hop": model.hop,
        "lag": model.lag,
        "dimension": model.settings.dimension,
        "parts": model.settings.parts,
        "card": model_card(state, portable(recipe), card),
    }


def check_parity(model: FrameEncoder, encoder: Encoder, tolerance: float = TOLERANCE) -> float:
    """Check that an exported encoder, which gets a wave in chunks, computes the same as torch from the whole wave.

    Returns:
        Maximum difference, relative to the maximum value.

    Raises:
        EarmarkError: the difference is above the tolerance.
    """
    generator = np.random.default_rng(0)
    wave = (0.1 * generator.standard_normal(3 * encoder.sample_rate)).astype(np.float32)
    wave[encoder.sample_rate : 2 * encoder.sample_rate] *= 0.01
    stream = encoder.stream()
    chunks = np.split(wave, np.sort(generator.integers(0, len(wave), 40)))
    streamed = np.concatenate([*(stream.push(chunk) for chunk in chunks), stream.finish()])
    with torch.inference_mode():
        # Silence on both sides covers the context of the first and the last frame.
        before = model.lag * model.hop + 2 * model.frontend.rate_hz
        whole = torch.from_numpy(np.concatenate([np.zeros(before), wave, np.zeros(before)]).astype(np.float32))
        state = StreamState()
        offline = model(whole[None, : len(whole) // model.hop * model.hop], state)[0].numpy()
    first = before // model.hop + model.lag
    reference = offline[first : first + len(streamed)]
    difference = float(np.abs(streamed - reference).max() / np.abs(reference).max())
    return check_difference(encoder.name, difference, tolerance)


def _graph(model: FrameEncoder) -> onnx.ModelProto:
    wave = torch.zeros(1, 2 * model.hop)
    state = StreamState()
    with torch.inference_mode():
        model(wave, state)
    before = [torch.zeros_like(tensor) for tensor in state.after]
    names = [f"memory_{number}" for number in range(len(before))]
    return trace(
        _StreamStep(model).eval(),
        (wave, *before),
        input_names=["wave", *names],
        output_names=["frames", *(f"{name}_after" for name in names)],
        dynamic_axes={"wave": {1: "samples"}, "frames": {1: "frames"}},
    )
