"""Initialization of a run: weights of another run's checkpoint, and frozen modules."""

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
    """Load the weights of a checkpoint that fit into a new run.

    The encoder gets every tensor of the same shape. The loss gets scale and bias if it is of the same kind, and the
    class weights if both runs have the same classes. Class weights are directions of classes, so that they are copied
    between linear layers and losses with unit vectors, too.

    Args:
        path: the checkpoint; or an exported encoder (.onnx), which must hold all weights of the encoder and has none of
            the loss.
        model: the encoder.
        loss: of the new run.
        kind: of that loss.
        classes: of the new run.

    Warns:
        UserWarning: about weights that do not fit and keep their random initialization.

    Raises:
        InputError: no such checkpoint, or one of another network; or an exported encoder that lacks weights of the new
            encoder.
    """
    if path.suffix == ".onnx":
        _initialize_from_exported(path, model)
        return
    checkpoint = load_checkpoint(path)
    loaded, missing = _load_fitting(model, strip_prefix(checkpoint.tensors, "model."))
    if len(loaded) < len(missing):
        raise InputError(
            f"start.checkpoint: {path} holds {len(loaded)} of this encoder's {len(loaded) + len(missing)} tensors; "
            "choose a checkpoint of the same kind of encoder"
        )
    if missing:
        warnings.warn(f"{path.name}: {', '.join(missing)} have other shapes and are trained from scratch", stacklevel=2)
    weights = strip_prefix(checkpoint.tensors, "loss.")
    if checkpoint.recipe["loss"]["kind"] != kind:
        # The scale of another loss has another meaning.
        weights = {name: tensor for name, tensor in weights.items() if tensor.dim() > 0}
    if tuple(classes) == checkpoint.classes:
        _load_fitting(loss, _rename_class_weights(weights, loss))
        return
    # Scale and bias do not depend on the classes.
    _load_fitting(loss, {name: tensor for name, tensor in weights.items() if tensor.dim() == 0})
    if any(parameter.dim() > 1 for parameter in loss.parameters()):
        warnings.warn(
            f"{path.name}: has {len(checkpoint.classes)} other classes; the weights of the {len(classes)} classes of "
            "this run are trained from scratch",
            stacklevel=2,
        )


def _initialize_from_exported(path: Path, model: nn.Module) -> None:
    import onnx

    load_encoder(path)  # its errors name what is wrong with a file that is not an encoder
    graph = onnx.load(str(path)).graph
    stored = {part.name: onnx.numpy_helper.to_array(part) for part in graph.initializer}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in stored.items()}
    _, missing = _load_fitting(model, strip_prefix(tensors, "model."))
    # Batch counters of normalizations are not exported.
    missing = [name for name in missing if not name.endswith(".num_batches_tracked")]
    if missing:
        raise InputError(
            f"start.checkpoint: {path} has no {missing[0]} of this shape; choose an encoder with the same head on "
            "published frames, or a checkpoint (.safetensors)"
        )


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Exclude modules of an encoder from the training.

    Args:
        model: the encoder.
        names: of modules, such as ``network.layers.0``; the modules inside are frozen, too.

    Returns:
        The modules. The caller keeps them in evaluation mode, so that running statistics of normalizations do not
        change.

    Raises:
        InputError: no such module, or no trainable parameter is left.
    """
    frozen = [get_submodule(model, name, "start.freeze").requires_grad_(False) for name in names]
    if names and not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("start.freeze: no trainable parameter is left; freeze fewer modules")
    return frozen


def get_submodule(model: nn.Module, name: str, key: str) -> nn.Module:
    """A module of an encoder by its name, such as ``network.layers.0``.

    Args:
        model: the encoder.
        name: of the module.
        key: of the recipe, for messages.

    Raises:
        InputError: no such module.
    """
    modules = dict(model.named_modules())
    if name not in modules or not name:
        names = ", ".join(name for name in modules if name and name.count(".") <= 1)
        raise InputError(f"{key}: no module {name!r}; there are {names}, and the modules inside them")
    return modules[name]


def _load_fitting(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Load the tensors whose name and shape fit.

    Returns:
        Names of the loaded tensors, and of the other tensors of the module.
    """
    own = module.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    module.load_state_dict(fitting, strict=False)
    return sorted(fitting), sorted(own.keys() - fitting.keys())


def _rename_class_weights(tensors: dict[str, Tensor], loss: nn.Module) -> dict[str, Tensor]:
    """Give the class weights of another loss the name that this loss has for them."""
    theirs, ours = (
        [name for name in (f"{_HEAD}.weight", "weight") if name in found] for found in (tensors, loss.state_dict())
    )
    if len(theirs) != 1 or len(ours) != 1 or theirs == ours:
        return tensors
    return {ours[0] if name == theirs[0] else name: tensor for name, tensor in tensors.items()}
