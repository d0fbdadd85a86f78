"""Where a run begins: fine-tuning from another run's checkpoint, with parts of the encoder kept as they are."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from earmark.core.errors import InputError
from earmark.models.encoder import load_encoder
from earmark.training.run.checkpoint import load_checkpoint, under

_HEAD = "head"  # of losses whose classes are a linear layer


def begin_from(path: Path, model: nn.Module, loss: nn.Module, kind: str, classes: Sequence[str]) -> None:
    """Put a checkpoint's tensors into a new run.

    The encoder takes every tensor that fits. A loss takes the scale and bias of its own kind, and the rest only when
    both runs tell the same classes apart: a weight per class means nothing among others, even where their number is the
    same. Among the same classes it means the same in any loss, the direction of the class, and goes from a linear
    layer to unit vectors and back.

    Args:
        path: the checkpoint; or an encoder that was exported, of which the encoder takes all and the loss nothing.
        model: the encoder.
        loss: of the new run.
        kind: of that loss.
        classes: what the new run tells apart.

    Warns:
        UserWarning: for what does not fit and begins anew.

    Raises:
        InputError: no such checkpoint, or one of another network altogether; or an exported encoder that lacks some
            of the new one's tensors, as those do that have a tower of their own.
    """
    if path.suffix == ".onnx":
        _begin_from_exported(path, model)
        return
    checkpoint = load_checkpoint(path)
    taken, left = _fill(model, under(checkpoint.tensors, "model."))
    if len(taken) < len(left):
        raise InputError(
            f"start.checkpoint: {len(taken)} of this encoder's {len(taken) + len(left)} tensors are in {path}; "
            "is it of the same kind?"
        )
    if left:
        warnings.warn(f"{path.name}: another size of {', '.join(left)}, which begin anew", stacklevel=2)
    learned = under(checkpoint.tensors, "loss.")
    if checkpoint.recipe["loss"]["kind"] != kind:
        # Another loss means something else by its scale.
        learned = {name: tensor for name, tensor in learned.items() if tensor.dim() > 0}
    if tuple(classes) == checkpoint.classes:
        _fill(loss, _weights_renamed(learned, loss))
        return
    # A scale or a bias means the same among any classes.
    _fill(loss, {name: tensor for name, tensor in learned.items() if tensor.dim() == 0})
    if any(parameter.dim() > 1 for parameter in loss.parameters()):
        warnings.warn(
            f"{path.name}: it told {len(checkpoint.classes)} other classes apart; the {len(classes)} of this run "
            "begin anew",
            stacklevel=2,
        )


def _begin_from_exported(path: Path, model: nn.Module) -> None:
    import onnx

    load_encoder(path)  # says in its own words what is wrong with a file that is no encoder
    graph = onnx.load(str(path)).graph
    stored = {part.name: onnx.numpy_helper.to_array(part) for part in graph.initializer}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in stored.items()}
    _, left = _fill(model, under(tensors, "model."))
    # What a normalization has counted is no part of what it computes, and is not exported.
    left = [name for name in left if not name.endswith(".num_batches_tracked")]
    if left:
        raise InputError(
            f"start.checkpoint: {path} has no {left[0]} of this size; start from an encoder with the same head over "
            "the published frames, or from a checkpoint (.safetensors)"
        )


def freeze(model: nn.Module, parts: Sequence[str]) -> list[nn.Module]:
    """Keep parts of an encoder as they are: their parameters, and from now on call ``eval()`` on what is returned.

    Args:
        model: the encoder.
        parts: names of modules, such as ``network.layers.0``; of a module all that is inside.

    Returns:
        The modules. Normalizations among them must stay in evaluation mode, or their statistics go on moving.

    Raises:
        InputError: no such part.
    """
    frozen = [part_of(model, part, "start.freeze").requires_grad_(False) for part in parts]
    if parts and not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("start.freeze: nothing is left to learn")
    return frozen


def part_of(model: nn.Module, name: str, key: str) -> nn.Module:
    """The part of an encoder that a recipe's key names, such as ``network.layers.0``.

    Raises:
        InputError: no such part.
    """
    modules = dict(model.named_modules())
    if name not in modules or not name:
        names = ", ".join(name for name, _ in _two_levels(model))
        raise InputError(f"{key}: no part {name!r}; there are {names}, and what is inside them")
    return modules[name]


def _fill(module: nn.Module, tensors: dict[str, Tensor]) -> tuple[list[str], list[str]]:
    """Load what fits; names of what was taken, and of what the module has otherwise."""
    own = module.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    module.load_state_dict(fitting, strict=False)
    return sorted(fitting), sorted(own.keys() - fitting.keys())


def _weights_renamed(tensors: dict[str, Tensor], loss: nn.Module) -> dict[str, Tensor]:
    """A loss's tensors, the weights of the classes under the name that this loss has for them."""
    theirs, ours = (
        [name for name in (f"{_HEAD}.weight", "weight") if name in found] for found in (tensors, loss.state_dict())
    )
    if len(theirs) != 1 or len(ours) != 1 or theirs == ours:
        return tensors
    return {ours[0] if name == theirs[0] else name: tensor for name, tensor in tensors.items()}


def _two_levels(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if name and name.count(".") <= 1]
