"""Checks of a recipe and of the files that it names, before the training starts."""

import os
import warnings
from collections.abc import Container
from pathlib import Path

from torch import nn

from earmark.core.errors import InputError, collected
from earmark.training.recipe import AnyRecipe
from earmark.training.run.initialization import freeze, initialize_from
from earmark.training.run.optimizer import build_optimizer
from earmark.training.sequences import check as sequences
from earmark.training.sequences.networks import build_network
from earmark.training.words import check as words
from earmark.training.words.recipe import Recipe


def find_faults(recipe: AnyRecipe, *, expected: Container[Path] = ()) -> list[str]:
    """Find faults in what a recipe names: its data, its initialization, and modules of its encoder.

    Args:
        recipe: a recipe with absolute paths.
        expected: checkpoints that another run will write before this run is initialized from them.

    Returns:
        One line per fault, which begins with the recipe key.
    """
    faults: list[str] = []
    with collected(faults, "data.folder"):
        check_writable(recipe.data.folder)
    classes: tuple[str, ...] = ()
    if isinstance(recipe, Recipe):
        found, classes = words.find_faults(recipe)
        faults += found
    else:
        faults += sequences.find_faults(recipe)
    with collected(faults):
        _find_in_network(recipe, _network(recipe), classes, expected, faults)
    return faults


def check_writable(folder: Path) -> None:
    """Check that the user may write into a folder, or may create it if it does not exist.

    Raises:
        InputError: the user has no permission.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InputError(f"{folder}: the folder is not writable; name another folder, or change its permissions")


def _network(recipe: AnyRecipe) -> nn.Module:
    if isinstance(recipe, Recipe):
        return recipe.encoder.build()
    return build_network(recipe.encoder, recipe.frames.build_source().width)


def _find_in_network(
    recipe: AnyRecipe, model: nn.Module, classes: tuple[str, ...], expected: Container[Path], faults: list[str]
) -> None:
    # If the classes are unknown, two are assumed: the faults found here do not depend on their number.
    count = max(2, len(classes))
    loss = recipe.loss.build(classes=count, dimension=recipe.encoder.dimension)
    checkpoint = recipe.start.checkpoint
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run warns
        if checkpoint is not None and checkpoint not in expected:
            with collected(faults, "start.checkpoint"):
                initialize_from(checkpoint, model, loss, recipe.loss.kind, classes)
        with collected(faults):
            freeze(model, recipe.start.freeze)
        with collected(faults):
            build_optimizer(recipe.optimizer, model, loss)
