"""ONNX files of encoders: trace a network, write its graph with a model card, and check the graph."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from earmark.core.errors import EarmarkError
from earmark.core.files import atomic_path
from earmark.core.numbers import finite
from earmark.models.encoder import METADATA_KEY
from earmark.training.run.checkpoint import Checkpoint

OPSET = 18
TOLERANCE = 1e-4
"""Maximum difference that is allowed between the outputs of a checkpoint and its graph."""


def trace(
    network: nn.Module,
    inputs: tuple[Tensor, ...],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None,
) -> onnx.ModelProto:
    """Run a network on example inputs, and record its operations as an ONNX graph.

    Args:
        network: a network in evaluation mode.
        inputs: example inputs.
        input_names: name of each input.
        output_names: name of each output.
        dynamic_axes: names of the axes of variable length, by name of the input or output and number of the axis.
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "graph.onnx"
        # torch warns that torch.export is recommended, which takes 5 to 30 s instead of half a second, and warns about
        # shapes that are constant here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            inputs,
            path,
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_axes=dynamic_axes,
            opset_version=OPSET,
            dynamo=False,
        )
        graph: onnx.ModelProto = onnx.load(str(path))
    for node in graph.graph.node:
        node.doc_string = ""  # the source line of each node
    return graph


@contextmanager
def atomic_graph(out: Path, graph: onnx.ModelProto, description: dict[str, Any]) -> Iterator[Path]:
    """Write an encoder to a draft file for the block to check; the draft becomes `out` if the block raises no error.

    Args:
        out: the .onnx file.
        graph: graph of the encoder.
        description: metadata for the runtime, with the model card.
    """
    graph.metadata_props.add(key=METADATA_KEY, value=json.dumps(finite(description), allow_nan=False))
    with atomic_path(out) as draft:
        onnx.save(graph, str(draft))
        yield draft


def model_card(state: Checkpoint, recipe: dict[str, Any], additions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the model card of an encoder from its checkpoint: step, validation metrics, recipe, and other entries."""
    return {"step": state.step, "validation": state.metrics, "recipe": recipe} | dict(additions or {})


def set_card(path: Path, additions: dict[str, Any]) -> None:
    """Add entries to the model card of an encoder file, atomically."""
    graph = onnx.load(str(path))
    (entry,) = [entry for entry in graph.metadata_props if entry.key == METADATA_KEY]
    description = json.loads(entry.value)
    description["card"] |= additions
    graph.metadata_props.remove(entry)
    with atomic_graph(path, graph, description):
        pass


def check_difference(name: str, difference: float, tolerance: float) -> float:
    """Check that the outputs of an exported graph and of its checkpoint differ by at most a tolerance.

    Args:
        name: name of the encoder.
        difference: difference between the outputs of both.
        tolerance: maximum difference that is allowed.

    Returns:
        The difference.

    Raises:
        EarmarkError: the difference is above the tolerance, or not a number.
    """
    if not difference <= tolerance:
        raise EarmarkError(
            f"{name}: the exported graph differs from the checkpoint by {difference:.1e} (> {tolerance:g}); "
            "report this as a bug"
        )
    return difference
