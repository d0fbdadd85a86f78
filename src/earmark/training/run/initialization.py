"""Initialization of a run with the weights of another run, and freezing of modules."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.models.encoder import load_encoder
from earmark.training.run.checkpoint import load_checkpoint, strip_prefix

_HEAD = "head"  # the linear layer of losses with class weights


def initialize_from(path: Path, model: nn.Module, loss: nn.Module, kind: str, classes: Sequence[str]) -> None:
    """Initialize the encoder and the loss of a new run with the weights of a checkpoint.

    All tensors of the encoder with the same name and shape are copied. The scale and bias of the loss are copied if
    both runs have the same kind of loss. The class weights are copied if both runs have the same classes, even between
    linear layers and losses with unit vectors, because the weights of a class are a direction in both.

    Args:
        path: a checkpoint, or an exported encoder (.onnx). An exported encoder must contain all weights of the new
            encoder, and has no weights of a loss.
        model: encoder of the new run.
        loss: loss of the new run.
        kind: kind of the new loss.
        classes: classes of the new run.

    Warns:
        UserWarning: some weights do not fit and keep their random initialization.

    Raises:
        InputError: the checkpoint does not exist or is of another network; or the exported encoder lacks weights of the
            new encoder.
    """
    if path.suffix == ".onnx":
        _initialize_from_exported(path, model)
        return
    checkpoint = load_checkpoint(path)
    loaded, missing = _load_fitting(model, strip_prefix(checkpoint.tensors, "model."))
    if len(loaded) < len(missing):
        raise InputError(
            f"start.checkpoint: {path} has {len(loaded)} of this encoder's {len(loaded) + len(missing)} tensors; "
            "choose a checkpoint of an encoder with the same settings"
        )
    if missing:
        warnings.warn(
            f"{path.name}: the checkpoint has no tensors {', '.join(missing)} of this encoder's shapes, so they are "
            "trained from scratch",
            stacklevel=2,
        )
    weights = strip_prefix(checkpoint.tensors, "loss.")
    if checkpoint.recipe["loss"]["kind"] != kind:
        # The scale and bias of another kind of loss have another meaning.
        weights = {name: tensor for name, tensor in weights.items() if tensor.dim() > 0}
    if tuple(classes) == checkpoint.classes:
        _load_fitting(loss, _rename_class_weights(weights, loss))
        return
    # Scale and bias do not depend on the classes.
    _load_fitting(loss, {name: tensor for name, tensor in weights.items() if tensor.dim() == 0})
    if any(parameter.dim() > 1 for parameter in loss.parameters()):
        warnings.warn(
            f"{path.name}: the {len(checkpoint.classes)} classes of the checkpoint are not the {len(classes)} classes "
            "of this run, whose weights are therefore trained from scratch",
            stacklevel=2,
        )


def _initialize_from_exported(path: Path, model: nn.Module) -> None:
    import onnx

    load_encoder(path)  # raises an error with the cure if the file is not an encoder
    graph = onnx.load(str(path)).graph
    stored = {part.name: onnx.numpy_helper.to_array(part) for part in graph.initializer}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in stored.items()}
    _, missing = _load_fitting(model, strip_prefix(tensors, "model."))
    # The batch counters of batch normalization are not exported.
    missing = [name for name in missing if not name.endswith(".num_batches_tracked")]
    if missing:
        raise InputError(
            f"start.checkpoint: {path} has no tensor {missing[0]} of this encoder's shape; choose an encoder with the "
            "same head on published frames, or a checkpoint (.safetensors)"
        )


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Exclude modules of an encoder from the training.

    Args:
        model: the encoder.
        names: names of modules, such as ``network.layers.0``; the modules inside them are frozen, too.

    Returns:
        The frozen modules. The caller keeps them in evaluation mode, so that the running statistics of batch
        normalization do not change.

    Raises:
        InputError: a name is not that of a module, or no trainable parameter is left.
    """
    frozen = [get_submodule(model, name, "start.freeze").requires_grad_(False) for name in names]
    if names and not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("start.freeze: no trainable parameter is left; freeze fewer modules")
    return frozen


def get_submodule(model: nn.Module, name: str, key: str) -> nn.Module:
    """Get a module of an encoder by its name.

    Args:
        model: the encoder.
        name: name of the module, such as ``network.layers.0``.
        key: recipe key that contains the name, for messages.

    Raises:
        InputError: the encoder has no module with this name.
    """
    modules = dict(model.named_modules())
    if name not in modules or not name:
        names = ", ".join(name for name in modules if name and name.count(".") <= 1)
        raise InputError(f"{key}: the encoder has no module {name!r}; choose {names}, or a module inside them")
    return modules[name]


def _load_fitting(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Load into a module all tensors that have the name and shape of one of its own.

    Returns:
        Names of the loaded tensors, and names of the module's tensors that were not loaded.
    """
    own = module.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    module.load_state_dict(fitting, strict=False)
    return sorted(fitting), sorted(own.keys() - fitting.keys())


def _rename_class_weights(tensors: dict[str, Tensor], loss: nn.Module) -> dict[str, Tensor]:
    """Rename the class weights among the tensors of a loss, of any kind, to the name that they have in `loss`."""
    theirs, ours = (
        [name for name in (f"{_HEAD}.weight", "weight") if name in found] for found in (tensors, loss.state_dict())
    )
    if len(theirs) != 1 or len(ours) != 1 or theirs == ours:
        return tensors
    return {ours[0] if name == theirs[0] else name: tensor for name, tensor in tensors.items()}
